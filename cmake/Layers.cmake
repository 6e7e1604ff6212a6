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
# Unit tests that are worth repeating on optimised code, beside everything that tests the program as a whole: what
# kernels compute. The others run under the sanitizers.
set(HOLDFAST_KERNELS crypto codec formats)
add_custom_target(whole_tests)

# Headers of others that most files include are read once: parsing them was a third of the whole build. Each file
# still includes what it uses. The first target compiles them, the others take its result.
set(HOLDFAST_PRECOMPILED <algorithm> <array> <atomic> <chrono> <condition_variable> <cstdint> <cstring> <deque> <expected>
    <filesystem> <fmt/format.h> <functional> <map> <memory> <mutex> <optional> <set> <span> <stop_token> <string>
    <string_view> <thread> <unordered_map> <utility> <variant> <vector>)
function(holdfast_precompile target owner)
  if(target STREQUAL owner)
    target_precompile_headers(${target} PRIVATE ${HOLDFAST_PRECOMPILED} ${ARGN})
  else()
    target_precompile_headers(${target} REUSE_FROM ${owner})
  endif()
endfunction()

# What every test program has in common. A test's own code is not worth optimising: what it tests is.
function(holdfast_test_program target library)
  target_link_libraries(${target} PRIVATE ${library} GTest::gmock GTest::gtest_main)
  # Only where they are named (also by these headers), so that checkouts share the compiler's cache for all others.
  get_target_property(sources ${target} SOURCES)
  foreach(source IN LISTS sources)
    file(STRINGS ${source} uses REGEX "HOLDFAST_(SOURCE|FIXTURES)|(fixture_test|sample_backup|fake_server|radosgw)\\.h")
    if(uses)
      set_source_files_properties(${source} PROPERTIES COMPILE_DEFINITIONS
          "HOLDFAST_SOURCE=\"${CMAKE_SOURCE_DIR}\";HOLDFAST_FIXTURES=\"${CMAKE_SOURCE_DIR}/tests/fixtures\"")
    endif()
  endforeach()
  target_compile_options(${target} PRIVATE -O0)
  holdfast_precompile(${target} base_test <gmock/gmock.h> <gtest/gtest.h>)
endfunction()

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
    holdfast_precompile(holdfast_${name} holdfast_base)
  else()
    add_library(holdfast_${name} INTERFACE)
    target_include_directories(holdfast_${name} INTERFACE ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(holdfast_${name} INTERFACE ${links})
  endif()

  if(tests)
    add_executable(${name}_test ${tests})
    holdfast_test_program(${name}_test holdfast_${name})
    set(filter)
    if(HOLDFAST_SANITIZE STREQUAL "thread" AND DEFINED HOLDFAST_THREADED_${name})
      set(filter --gtest_filter=${HOLDFAST_THREADED_${name}})
    endif()
    set(labels unit)
    add_dependencies(unit_tests ${name}_test)
    if(${folder} IN_LIST HOLDFAST_KERNELS)
      list(APPEND labels whole)
      add_dependencies(whole_tests ${name}_test)
    endif()
    if(${folder} IN_LIST HOLDFAST_THREADED)
      list(APPEND labels threads)
      add_dependencies(thread_tests ${name}_test)
    endif()
    # The longest begin first, and that of all is two tests that run side by side.
    set(shards 1)
    set(cost 0)
    if(${name} STREQUAL "repo")
      set(shards 2)
      set(cost 100)
    elseif(${name} STREQUAL "store")
      set(cost 120)
    endif()
    foreach(shard RANGE 1 ${shards})
      set(test unit.${name})
      if(shards GREATER 1)
        string(APPEND test .${shard})
      endif()
      math(EXPR index "${shard} - 1")
      add_test(NAME ${test} COMMAND ${name}_test --gtest_brief=1 ${filter})
      set_tests_properties(${test} PROPERTIES TIMEOUT 600 COST ${cost} LABELS "${labels}"
          ENVIRONMENT "GTEST_TOTAL_SHARDS=${shards};GTEST_SHARD_INDEX=${index}")
    endforeach()
  endif()
endfunction()
