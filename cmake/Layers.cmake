# One static library and one test program per folder of src/, linked by src/layers.txt.
# `x.cc` belongs to the library, `x_test.cc` to the folder's test program.

# What the sanitizer builds need, and no more. These layers run under tsan, too: all of their tests, or
# those that a filter names because only they run threads. Two cores do each in a minute.
set(HOLDFAST_THREADED os store repo archive runbook)
# Left out: each flip of each byte is one thread's work, thousands of times over; and what moves much data
# through stages that the other tests run as well.
string(CONCAT HOLDFAST_THREADED_repo
    "*/Threads:Ingest.AStop*:IndexRefresh.*:VerifyTest.*:RepositoryTest.WritersWith*"
    ":-*.EveryFlip*:*.WhatGoesInComesOut/*:*.AnInterruptedBackupIsTakenUp*")
set(HOLDFAST_THREADED_archive "Threads.*")
add_custom_target(unit_tests)
add_custom_target(thread_tests)

function(holdfast_add_layers layers_file)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${layers_file})
  file(STRINGS ${layers_file} lines REGEX "^[a-z]")
  foreach(line IN LISTS lines)
    string(REGEX MATCH "^([a-z/]+):(.*)$" _ "${line}")
    set(folder ${CMAKE_MATCH_1})
    separate_arguments(allowed UNIX_COMMAND "${CMAKE_MATCH_2}")
    holdfast_add_layer(${folder} "${allowed}")
  endforeach()
endfunction()

function(holdfast_add_layer folder allowed)
  string(REPLACE "/" "_" name ${folder})
  set(directory ${CMAKE_SOURCE_DIR}/src/${folder})
  file(GLOB sources CONFIGURE_DEPENDS ${directory}/*.cc)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "(_test|/main)\\.cc$")

  set(links ${HOLDFAST_EXTERNAL_${name}})
  foreach(lower IN LISTS allowed)
    string(REPLACE "/" "_" lower ${lower})
    list(APPEND links holdfast_${lower})
  endforeach()

  if(sources)
    add_library(holdfast_${name} STATIC ${sources})
    target_include_directories(holdfast_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(holdfast_${name} PUBLIC ${links})
  else()
    add_library(holdfast_${name} INTERFACE)
    target_include_directories(holdfast_${name} INTERFACE ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(holdfast_${name} INTERFACE ${links})
  endif()

  if(tests)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE holdfast_${name} GTest::gmock GTest::gtest_main)
    target_compile_definitions(${name}_test PRIVATE
        HOLDFAST_FIXTURES="${CMAKE_SOURCE_DIR}/tests/fixtures"
        HOLDFAST_SOURCE="${CMAKE_SOURCE_DIR}")
    set(filter)
    if(HOLDFAST_SANITIZE STREQUAL "thread" AND DEFINED HOLDFAST_THREADED_${name})
      set(filter --gtest_filter=${HOLDFAST_THREADED_${name}})
    endif()
    add_test(NAME unit.${name} COMMAND ${name}_test --gtest_brief=1 ${filter})
    set(labels unit)
    add_dependencies(unit_tests ${name}_test)
    if(${folder} IN_LIST HOLDFAST_THREADED)
      list(APPEND labels threads)
      add_dependencies(thread_tests ${name}_test)
    endif()
    set_tests_properties(unit.${name} PROPERTIES TIMEOUT 600 LABELS "${labels}")
  endif()
endfunction()
