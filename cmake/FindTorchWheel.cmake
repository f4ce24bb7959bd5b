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
# Beside its own headers lie those of an older protobuf, which must not hide the system's.
set(headers "${PROJECT_BINARY_DIR}/torch-wheel-include")
file(MAKE_DIRECTORY "${headers}")
file(GLOB folders "${DISTILL_TORCH_WHEEL}/include/*")
list(FILTER folders EXCLUDE REGEX "/google$")
foreach(folder ${folders})
  get_filename_component(name "${folder}" NAME)
  file(CREATE_LINK "${folder}" "${headers}/${name}" SYMBOLIC)
endforeach()
set(TORCH_INCLUDE_DIRS "${headers}" "${headers}/torch/csrc/api/include")

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
