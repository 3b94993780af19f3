# The standard library's headers, and for tests GoogleTest's, are read once instead of once a file: a quarter of a build's time.
# The builds with clang read modules without, so that a forgotten #include is found, though several sources at a time (the sanitizers:
# a third of their time); clang-tidy reads all as they stand.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(TIDEMILL_PRECOMPILED module program test)
elseif(TIDEMILL_SANITIZE)
  set(TIDEMILL_PRECOMPILED test)
else()
  set(TIDEMILL_PRECOMPILED)
endif()

if(TIDEMILL_CCACHE)
  # Otherwise ccache stores nothing that uses a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,locale ${TIDEMILL_CCACHE})
  add_compile_options("$<IF:$<CXX_COMPILER_ID:GNU>,-fpch-preprocess,SHELL:-Xclang -fno-pch-timestamp>")
endif()

# hiredis asks for it; where it changes nothing it would only keep its users from the precompiled headers.
if(CMAKE_SIZEOF_VOID_P EQUAL 8 AND TARGET PkgConfig::HIREDIS)
  get_target_property(options PkgConfig::HIREDIS INTERFACE_COMPILE_OPTIONS)
  if(options)
    list(REMOVE_ITEM options -D_FILE_OFFSET_BITS=64)
    set_property(TARGET PkgConfig::HIREDIS PROPERTY INTERFACE_COMPILE_OPTIONS ${options})
  endif()
endif()

set(TIDEMILL_STD_HEADERS
    <algorithm> <array> <atomic> <chrono> <condition_variable> <cstdint> <deque> <filesystem> <fstream> <functional> <map> <memory> <mutex>
    <optional> <random> <set> <span> <sstream> <string> <string_view> <thread> <tuple> <type_traits> <unordered_map> <utility> <variant>
    <vector>)
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/precompiled/empty.cc CONTENT "")
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/precompiled/main.cc CONTENT "int main() {}\n")
if("module" IN_LIST TIDEMILL_PRECOMPILED)
  add_library(tidemill_precompiled_module OBJECT EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/precompiled/empty.cc)
  target_precompile_headers(tidemill_precompiled_module PRIVATE ${TIDEMILL_STD_HEADERS})
endif()
if("program" IN_LIST TIDEMILL_PRECOMPILED)
  add_executable(tidemill_precompiled_program EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/precompiled/main.cc)
  target_precompile_headers(tidemill_precompiled_program PRIVATE ${TIDEMILL_STD_HEADERS})
  set_target_properties(tidemill_precompiled_program PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/precompiled)
endif()
if(TIDEMILL_TESTS AND "test" IN_LIST TIDEMILL_PRECOMPILED)
  find_package(GTest REQUIRED)
  add_executable(tidemill_precompiled_test EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/precompiled/main.cc)
  target_precompile_headers(tidemill_precompiled_test PRIVATE ${TIDEMILL_STD_HEADERS} <gmock/gmock.h> <gtest/gtest.h>)
  target_compile_options(tidemill_precompiled_test PRIVATE -O0)
  target_link_libraries(tidemill_precompiled_test PRIVATE GTest::gtest GTest::gmock)
  set_target_properties(tidemill_precompiled_test PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/precompiled)
endif()

# tidemill_precompiled(TARGET module|program|test)
function(tidemill_precompiled target kind)
  if(kind IN_LIST TIDEMILL_PRECOMPILED)
    target_precompile_headers(${target} REUSE_FROM tidemill_precompiled_${kind})
  endif()
endfunction()
