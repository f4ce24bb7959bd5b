# Finds the LibTorch inside an installed Python wheel of PyTorch. A wheel brings CMake files too, but theirs stop without
# a CUDA toolkit although the libraries need none to be linked.
#
# In:  DISTILL_TORCH_WHEEL   folder `torch` of the installed wheel:
#                            python3 -c 'import torch; print(torch.__path__[0])'
# Out: TORCH_INCLUDE_DIRS, TORCH_LIBRARIES   as FindTorch has them
#      TorchWheel_VERSION                    "2.11.0+cu130"
#      TorchWheel_CUDA                       whether the CUDA libraries are linked: the wheel has them, and beside it lie
#                                            the wheels of NVIDIA that they need
find_path(TorchWheel_INCLUDE_DIR torch/torch.h
  PATHS "${DISTILL_TORCH_WHEEL}/include/torch/csrc/api/include" NO_DEFAULT_PATH)
set(TORCH_INCLUDE_DIRS "${DISTILL_TORCH_WHEEL}/include" "${TorchWheel_INCLUDE_DIR}")

set(TorchWheel_CUDA OFF)
file(GLOB TorchWheel_CUBLAS "${DISTILL_TORCH_WHEEL}/../nvidia/*/lib/libcublas.so.*")
if(EXISTS "${DISTILL_TORCH_WHEEL}/lib/libtorch_cuda.so" AND TorchWheel_CUBLAS)
  set(TorchWheel_CUDA ON)
endif()

set(TORCH_LIBRARIES)
foreach(library torch_cpu c10)
  find_library(TorchWheel_${library} ${library} PATHS "${DISTILL_TORCH_WHEEL}/lib" NO_DEFAULT_PATH)
  list(APPEND TORCH_LIBRARIES "${TorchWheel_${library}}")
endforeach()
if(TorchWheel_CUDA)
  # Devices register themselves when it is loaded, and no name of it is used.
  list(APPEND TORCH_LIBRARIES "-Wl,--no-as-needed" "${DISTILL_TORCH_WHEEL}/lib/libtorch_cuda.so"
    "${DISTILL_TORCH_WHEEL}/lib/libc10_cuda.so")
endif()

if(EXISTS "${DISTILL_TORCH_WHEEL}/version.py")
  file(STRINGS "${DISTILL_TORCH_WHEEL}/version.py" TorchWheel_VERSION REGEX "^__version__")
  string(REGEX REPLACE ".*'(.*)'.*" "\\1" TorchWheel_VERSION "${TorchWheel_VERSION}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(TorchWheel
  REQUIRED_VARS TorchWheel_INCLUDE_DIR TorchWheel_torch_cpu TorchWheel_c10
  VERSION_VAR TorchWheel_VERSION
  REASON_FAILURE_MESSAGE "DISTILL_TORCH_WHEEL must be the folder `torch` of an installed wheel, and is '${DISTILL_TORCH_WHEEL}'")
