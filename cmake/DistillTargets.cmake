# The few functions by which every target of the project is declared, so that flags, layering and
# the shared precompiled header are decided in one place.

set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_program(DISTILL_CCACHE ccache)
if(DISTILL_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${DISTILL_CCACHE}")
endif()
find_program(DISTILL_LLD ld.lld)

# Flags of every target of ours. Everything is compiled alike (also -fPIE and -pthread), since clang
# refuses a precompiled header that was built with other flags.
add_library(distill_options INTERFACE)
add_library(distill::options ALIAS distill_options)
target_include_directories(distill_options INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_options(distill_options INTERFACE
  -fPIE -pthread -fno-omit-frame-pointer -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Werror)
target_link_options(distill_options INTERFACE -pie)
target_link_libraries(distill_options INTERFACE Threads::Threads)
target_compile_definitions(distill_options INTERFACE DISTILL_VERSION="${PROJECT_VERSION}")
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(distill_options INTERFACE -Wthread-safety)
endif()
if(DISTILL_LLD)
  target_link_options(distill_options INTERFACE -fuse-ld=lld)
endif()
if(DISTILL_SANITIZER STREQUAL "address+undefined")
  target_compile_options(distill_options INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined)
  target_link_options(distill_options INTERFACE -fsanitize=address,undefined)
elseif(DISTILL_SANITIZER STREQUAL "thread")
  target_compile_options(distill_options INTERFACE -fsanitize=thread)
  target_link_options(distill_options INTERFACE -fsanitize=thread)
elseif(DISTILL_SANITIZER STREQUAL "fuzzer")
  target_compile_options(distill_options INTERFACE -fsanitize=fuzzer-no-link,address,undefined)
  target_link_options(distill_options INTERFACE -fsanitize=address,undefined)
endif()

# Precompiled headers, each for all the targets that include it much: reading torch/torch.h costs
# 20 s a file, and what every file includes a second. Files include what they use all the same: the
# preset thread-safety builds without.
function(_distill_precompile pch)
  cmake_parse_arguments(ARG "" "" "HEADERS;DEPS;OPTIONS" ${ARGN})
  file(WRITE "${PROJECT_BINARY_DIR}/${pch}.cc.in" "")
  configure_file("${PROJECT_BINARY_DIR}/${pch}.cc.in" "${PROJECT_BINARY_DIR}/${pch}.cc" COPYONLY)
  add_library(${pch} OBJECT "${PROJECT_BINARY_DIR}/${pch}.cc")
  target_link_libraries(${pch} PRIVATE distill::options ${ARG_DEPS})
  target_precompile_headers(${pch} PRIVATE ${ARG_HEADERS})
  target_compile_options(${pch} PRIVATE "SHELL:-Xclang -fno-pch-timestamp" ${ARG_OPTIONS})
endfunction()

function(_distill_use_precompiled target pch)
  if(NOT DISTILL_PRECOMPILE)
    return()
  endif()
  target_precompile_headers(${target} REUSE_FROM ${pch})
  target_compile_options(${target} PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
endfunction()

set(_distill_common_headers
  <map> <memory> <optional> <string> <utility> <vector> <absl/status/statusor.h> <absl/strings/str_cat.h>
  <absl/synchronization/mutex.h> <absl/time/time.h>)
set(_distill_common_deps absl::statusor absl::strings absl::synchronization absl::time)
# Tests are compiled without optimisation, in half the time: what they test is optimised.
set(_distill_test_options -O0)
if(DISTILL_PRECOMPILE)
  _distill_precompile(common_pch HEADERS ${_distill_common_headers} DEPS ${_distill_common_deps})
  if(DISTILL_WITH_TESTS)
    _distill_precompile(test_pch
      HEADERS ${_distill_common_headers} <gmock/gmock.h> <gtest/gtest.h>
      DEPS ${_distill_common_deps} GTest::gmock GTest::gtest
      OPTIONS ${_distill_test_options})
  endif()
endif()

if(DISTILL_WITH_TORCH)
  add_library(distill_torch INTERFACE)
  add_library(distill::torch ALIAS distill_torch)
  target_include_directories(distill_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
  target_link_libraries(distill_torch INTERFACE ${TORCH_LIBRARIES})
  if(DISTILL_TORCH_WHEEL)
    # LibTorch 1.13, the default, has not yet what newer ones want instead.
    target_compile_options(distill_torch INTERFACE -Wno-deprecated-declarations)
  endif()
  if(DISTILL_PRECOMPILE)
    _distill_precompile(torch_pch HEADERS <torch/torch.h> DEPS distill::torch)
  endif()
endif()

# Links and precompiled headers of a target that uses torch, or does not.
function(_distill_set_up target torch)
  if(torch)
    target_link_libraries(${target} PUBLIC distill::torch)
    _distill_use_precompiled(${target} torch_pch)
  else()
    _distill_use_precompiled(${target} common_pch)
  endif()
endfunction()

# distill_add_library(<folder_name> [SRCS ...] [HDRS ...] [DEPS ...] [TORCH])
# Declares the static library of one leaf folder, alias distill::<name>. DEPS are public.
function(distill_add_library name)
  cmake_parse_arguments(ARG "TORCH" "" "SRCS;HDRS;DEPS" ${ARGN})
  if(ARG_SRCS)
    add_library(${name} STATIC ${ARG_SRCS} ${ARG_HDRS})
    target_link_libraries(${name} PUBLIC distill::options ${ARG_DEPS})
    _distill_set_up(${name} "${ARG_TORCH}")
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE distill::options ${ARG_DEPS})
  endif()
  add_library(distill::${name} ALIAS ${name})
endfunction()

# distill_add_executable(<binary-name> SRCS ... [DEPS ...] [TORCH]): a program, put into <build>/bin.
function(distill_add_executable name)
  cmake_parse_arguments(ARG "TORCH" "" "SRCS;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SRCS})
  target_link_libraries(${name} PRIVATE distill::options ${ARG_DEPS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
  _distill_set_up(${name} "${ARG_TORCH}")
endfunction()

# distill_add_test(<name> SRCS ... [DEPS ...] [LABEL unit|golden|integration|fault|lint|full] [TIMEOUT s] [TORCH]
#                  [OPTIMIZED] [RUNNER command...])
# One GoogleTest binary, one ctest entry. RUNNER is what runs it, and skips it by exit status 77. LABEL full keeps a
# test out of the landing gate. OPTIMIZED: it computes much itself.
function(distill_add_test name)
  cmake_parse_arguments(ARG "TORCH;OPTIMIZED" "LABEL;TIMEOUT" "SRCS;DEPS;RUNNER" ${ARGN})
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SRCS})
  target_link_libraries(${name} PRIVATE distill::options ${ARG_DEPS} GTest::gmock GTest::gtest GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/test_bin")
  if(ARG_TORCH OR ARG_OPTIMIZED)
    _distill_set_up(${name} "${ARG_TORCH}")
  else()
    target_compile_options(${name} PRIVATE ${_distill_test_options})
    _distill_use_precompiled(${name} test_pch)
  endif()
  add_test(NAME ${name} COMMAND ${ARG_RUNNER} $<TARGET_FILE:${name}>)
  set(sanitizer "")
  if(DISTILL_SANITIZER STREQUAL "thread")
    # gRPC and its like are not instrumented (docs/testing.md).
    set(sanitizer "TSAN_OPTIONS=ignore_noninstrumented_modules=1:suppressions=${PROJECT_SOURCE_DIR}/tests/support/tsan.supp;")
  elseif(DISTILL_SANITIZER MATCHES "address")
    # An allocation that cannot be is refused, as it is without the sanitizer.
    set(sanitizer "ASAN_OPTIONS=allocator_may_return_null=1;LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/support/lsan.supp:print_suppressions=0;")
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABEL}" TIMEOUT ${ARG_TIMEOUT} SKIP_RETURN_CODE 77
    ENVIRONMENT "${sanitizer}OMP_NUM_THREADS=1;DISTILL_BIN_DIR=${PROJECT_BINARY_DIR}/bin;DISTILL_SOURCE_DIR=${PROJECT_SOURCE_DIR};DISTILL_CONTEXT=dev")
endfunction()
