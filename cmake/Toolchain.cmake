# Compiler, warnings, sanitizers. Asserts stay on in every build: a broken invariant must never
# reach a repository.

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1")

# Templates that every file instantiates for itself are most of a build: so many files of a folder are compiled as
# one. Their unnamed namespaces become one, too. The debug preset compiles each file by itself.
set(HOLDFAST_FILES_AT_ONCE 1 CACHE STRING "files that are compiled as one")
if(HOLDFAST_FILES_AT_ONCE GREATER 1)
  set(CMAKE_UNITY_BUILD ON)
  set(CMAKE_UNITY_BUILD_BATCH_SIZE ${HOLDFAST_FILES_AT_ONCE})
endif()

find_program(CCACHE ccache)
if(CCACHE)
  # Several checkouts share one cache: paths are taken relative to the checkout. The rest is what the cache
  # needs to see through precompiled headers.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=time_macros,pch_defines,include_file_mtime,include_file_ctime ${CCACHE})
  add_compile_options(-fpch-preprocess)
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Wnon-virtual-dtor -Woverloaded-virtual
                    -Wimplicit-fallthrough -Wcast-qual -Wundef -Werror)
add_compile_options(-fstack-protector-strong)
add_compile_definitions(_FILE_OFFSET_BITS=64 _GNU_SOURCE)

set(HOLDFAST_SANITIZE "" CACHE STRING "sanitizers, comma-separated: address,undefined | thread")
if(HOLDFAST_SANITIZE)
  # Compiling is most of what these builds cost, so their code is not optimised. A null pointer stops the program
  # without UBSan's check of each, too; those of each pointer's alignment and type add 40 % to the build.
  add_compile_options(-O0 -fsanitize=${HOLDFAST_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  if(HOLDFAST_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize=null,vptr,alignment)
  endif()
  add_link_options(-fsanitize=${HOLDFAST_SANITIZE})
  # g++ 12 reports false positives of these under sanitizers.
  add_compile_options(-Wno-maybe-uninitialized -Wno-stringop-overflow -Wno-array-bounds)
endif()
