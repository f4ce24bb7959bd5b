#include "worker/agent/device_inventory.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "worker/pipe/trainer_contract.h"

namespace distill::worker {
namespace {

struct NumericClass {
  const char* name;
  const char* openblas_core;
  const char* aten_capability;
};

// Best first.
constexpr std::array<NumericClass, 3> kNumericClasses = {{
    {"cpu-x86-avx512", "SkylakeX", "avx512"},
    {"cpu-x86-avx2", "Haswell", "avx2"},
    {"cpu-x86-default", "Nehalem", "default"},
}};

int UsableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

}  // namespace

CpuFeatures DetectCpuFeatures() {
  __builtin_cpu_init();
  CpuFeatures features;
  features.avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  features.avx512 = features.avx2 && __builtin_cpu_supports("avx512f") != 0 &&
                    __builtin_cpu_supports("avx512bw") != 0 &&
                    __builtin_cpu_supports("avx512dq") != 0 &&
                    __builtin_cpu_supports("avx512vl") != 0;
  return features;
}

std::vector<std::string> NumericClasses(const CpuFeatures& features) {
  std::vector<std::string> classes;
  if (features.avx512) classes.push_back(kNumericClasses[0].name);
  if (features.avx2) classes.push_back(kNumericClasses[1].name);
  classes.push_back(kNumericClasses[2].name);
  return classes;
}

absl::StatusOr<std::vector<std::string>> NumericEnvironment(
    absl::string_view numeric_class, const std::vector<std::string>& available) {
  std::string wanted(numeric_class);
  if (wanted.empty() || wanted == "any") wanted = available.front();
  const bool is_available =
      std::find(available.begin(), available.end(), wanted) != available.end();
  if (is_available && absl::StartsWith(wanted, kCudaClassPrefix)) {
    return std::vector<std::string>{
        absl::StrCat(kNumericClassVariable, "=", wanted),
        "OMP_NUM_THREADS=1",
        // cuBLAS repeats its results only with a workspace of its own for each stream.
        "CUBLAS_WORKSPACE_CONFIG=:4096:8",
    };
  }
  const auto known = std::find_if(kNumericClasses.begin(), kNumericClasses.end(),
                                  [&](const NumericClass& c) { return wanted == c.name; });
  if (known == kNumericClasses.end() || !is_available) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot pin trainer to numeric class: this machine does not have it; class=", wanted,
        " available=", absl::StrJoin(available, ",")));
  }
  return std::vector<std::string>{
      absl::StrCat(kNumericClassVariable, "=", wanted),
      absl::StrCat("OPENBLAS_CORETYPE=", known->openblas_core),
      absl::StrCat("ATEN_CPU_CAPABILITY=", known->aten_capability),
      "OMP_NUM_THREADS=1",
      "OPENBLAS_NUM_THREADS=1",
      "MKL_NUM_THREADS=1",
      "MKL_CBWR=COMPATIBLE",
  };
}

absl::StatusOr<int64_t> ParseMemTotal(absl::string_view meminfo) {
  for (absl::string_view line : absl::StrSplit(meminfo, '\n')) {
    if (!absl::ConsumePrefix(&line, "MemTotal:")) continue;
    absl::ConsumeSuffix(&line, "kB");
    int64_t kilobytes = 0;
    if (absl::SimpleAtoi(line, &kilobytes) && kilobytes > 0) return kilobytes * 1024;
  }
  return absl::InternalError("cannot read /proc/meminfo: no MemTotal line in kB");
}

std::string ParseDriverVersion(absl::string_view text) {
  // "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023"
  const absl::string_view line = text.substr(0, text.find('\n'));
  for (const absl::string_view word : absl::StrSplit(line, ' ', absl::SkipEmpty())) {
    const bool numbers = std::all_of(word.begin(), word.end(),
                                     [](char c) { return absl::ascii_isdigit(c) || c == '.'; });
    if (numbers && word.find('.') != absl::string_view::npos) return std::string(word);
  }
  return "";
}

absl::StatusOr<DeviceInventory> TakeInventory() {
  DeviceInventory inventory;
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) == 0) inventory.hostname = name;
  inventory.numeric_classes = NumericClasses(DetectCpuFeatures());
  inventory.cores = UsableCores();
  DISTILL_ASSIGN_OR_RETURN(const std::string meminfo, ReadFile("/proc/meminfo"));
  DISTILL_ASSIGN_OR_RETURN(inventory.memory_bytes, ParseMemTotal(meminfo));
  const absl::StatusOr<std::string> driver = ReadFile("/proc/driver/nvidia/version");
  if (driver.ok()) inventory.driver_version = ParseDriverVersion(*driver);
  return inventory;
}

}  // namespace distill::worker
