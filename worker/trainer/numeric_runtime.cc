#include "worker/trainer/numeric_runtime.h"

#include <dlfcn.h>
#include <torch/torch.h>
#include <torch/version.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

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
}

std::string ActiveNumericClass() {
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
