# External libraries: which layer links which. All come from Debian 12.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
foreach(module IN ITEMS fmt libsodium libcrypto libzstd libxxhash libcurl sqlite3 libpq yaml-cpp)
  string(MAKE_C_IDENTIFIER ${module} name)
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET GLOBAL ${module})
endforeach()
find_package(GTest REQUIRED)

set(HOLDFAST_EXTERNAL_base PkgConfig::fmt)
set(HOLDFAST_EXTERNAL_os Threads::Threads)
set(HOLDFAST_EXTERNAL_crypto PkgConfig::libsodium PkgConfig::libcrypto)
set(HOLDFAST_EXTERNAL_codec PkgConfig::libzstd)
set(HOLDFAST_EXTERNAL_net PkgConfig::libcurl)
set(HOLDFAST_EXTERNAL_repo PkgConfig::libxxhash)
set(HOLDFAST_EXTERNAL_plan PkgConfig::yaml_cpp)
set(HOLDFAST_EXTERNAL_catalog PkgConfig::sqlite3)
set(HOLDFAST_EXTERNAL_sources_postgres PkgConfig::libpq)
