#include "worker/trainer/numeric_runtime.h"

#include <dlfcn.h>
#include <torch/version.h>

#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "worker/pipe/trainer_contract.h"

namespace distill::worker {
namespace {

struct KnownClass {
  const char* name;
  const char* capability;
  const char* openblas_core;
};

constexpr KnownClass kKnownClasses[] = {
    {"cpu-x86-avx512", "avx512", "SkylakeX"},
    {"cpu-x86-avx2", "avx2", "Haswell"},
    {"cpu-x86-default", "default", "Nehalem"},
};

// OpenBLAS comes in beneath LibTorch; its own functions are not among those we link.
std::string OpenBlasCore() {
  using NameFunction = char* (*)();
  void* const symbol = dlsym(RTLD_DEFAULT, "openblas_get_corename");
  return symbol == nullptr ? "unknown" : reinterpret_cast<NameFunction>(symbol)();
}

// LibTorch 1.13 exports no function for it, only a line of its description of itself.
std::string LibTorchCapability() {
  const std::string text = at::show_config();
  absl::string_view rest = text;
  constexpr absl::string_view kLabel = "CPU capability usage: ";
  const size_t found = rest.find(kLabel);
  if (found == absl::string_view::npos) return "unknown";
  rest.remove_prefix(found + kLabel.size());
  const std::string name = absl::AsciiStrToLower(rest.substr(0, rest.find('\n')));
  return name == "no avx" ? "default" : name;
}

// 90 for a GPU of compute capability 9.0; 0 when the driver tells none. Asks the driver's own
// library, which every CUDA program loads, so that the build needs no toolkit.
int GpuArchitecture() {
  void* const driver = dlopen("libcuda.so.1", RTLD_NOW);
  if (driver == nullptr) return 0;
  using Init = int (*)(unsigned int);
  using GetDevice = int (*)(int*, int);
  using GetAttribute = int (*)(int*, int, int);
  const auto init = reinterpret_cast<Init>(dlsym(driver, "cuInit"));
  const auto get_device = reinterpret_cast<GetDevice>(dlsym(driver, "cuDeviceGet"));
  const auto get_attribute = reinterpret_cast<GetAttribute>(dlsym(driver, "cuDeviceGetAttribute"));
  if (init == nullptr || get_device == nullptr || get_attribute == nullptr) return 0;
  constexpr int kCapabilityMajor = 75, kCapabilityMinor = 76;  // Of CUdevice_attribute.
  int device = 0, major = 0, minor = 0;
  const bool told = init(0) == 0 && get_device(&device, 0) == 0 &&
                    get_attribute(&major, kCapabilityMajor, device) == 0 &&
                    get_attribute(&minor, kCapabilityMinor, device) == 0;
  return told ? 10 * major + minor : 0;
}

std::string CudaNumericClass() {
  const int architecture = GpuArchitecture();
  if (architecture == 0 || !torch::cuda::is_available()) return "cuda-none";
  return absl::StrCat("cuda-sm", architecture, "-libtorch", TORCH_VERSION_MAJOR, ".",
                      TORCH_VERSION_MINOR);
}

}  // namespace

void ConfigureNumericRuntime() {
  at::set_num_threads(1);
  at::set_num_interop_threads(1);
  using ThreadsFunction = void (*)(int);
  if (void* const symbol = dlsym(RTLD_DEFAULT, "openblas_set_num_threads")) {
    reinterpret_cast<ThreadsFunction>(symbol)(1);
  }
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  // oneDNN picks kernels by the processor, not by what the class pins.
  at::globalContext().setUserEnabledMkldnn(false);
  // GPUs have products of float32 that round like float16's, and choose kernels by trying them.
  at::globalContext().setAllowTF32CuBLAS(false);
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setBenchmarkCuDNN(false);
  at::globalContext().setDeterministicCuDNN(true);
#if TORCH_VERSION_MAJOR >= 2
  // Of the fused attentions only this one has a deterministic gradient.
  at::globalContext().setSDPUseFlash(true);
  at::globalContext().setSDPUseMemEfficient(false);
  at::globalContext().setSDPUseCuDNN(false);
#endif
}

torch::DeviceType PinnedDevice() {
  const char* const pinned = std::getenv(kNumericClassVariable);
  return pinned != nullptr && absl::StartsWith(pinned, kCudaClassPrefix) ? torch::kCUDA
                                                                         : torch::kCPU;
}

bool IsAvailable(torch::DeviceType device) {
  return device == torch::kCPU || torch::cuda::is_available();
}

std::string ActiveNumericClass(torch::DeviceType device) {
  if (device == torch::kCUDA) return CudaNumericClass();
  const std::string capability = LibTorchCapability();
  const std::string core = OpenBlasCore();
  for (const KnownClass& known : kKnownClasses) {
    if (known.capability == capability && absl::EqualsIgnoreCase(known.openblas_core, core)) {
      return known.name;
    }
  }
  return absl::StrCat("cpu-x86-", capability, "-openblas-", absl::AsciiStrToLower(core));
}

std::string LibTorchVersion() { return TORCH_VERSION; }

}  // namespace distill::worker
