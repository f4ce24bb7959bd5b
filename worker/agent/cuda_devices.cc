#include "worker/agent/cuda_devices.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "worker/agent/wake_descriptor.h"
#include "worker/pipe/trainer_contract.h"

namespace distill::worker {
namespace {

constexpr absl::Duration kReadyTimeout = absl::Seconds(120);

absl::StatusOr<CudaDevice> Find(const std::vector<CudaDevice>& all, absl::string_view name) {
  size_t index = 0;
  if (absl::SimpleAtoi(name, &index) && index < all.size()) return all[index];
  const auto found = std::find_if(all.begin(), all.end(), [name](const CudaDevice& device) {
    return absl::StartsWith(name, "GPU-") && absl::StartsWith(device.uuid, name);
  });
  if (found != all.end()) return *found;
  return absl::InvalidArgumentError(
      absl::StrCat("cannot use GPUs: CUDA_VISIBLE_DEVICES names one that is not there; name=", name,
                   " devices=", all.size()));
}

}  // namespace

std::vector<CudaDevice> ListCudaDevices(const Nvml& nvml) {
  std::vector<CudaDevice> devices;
  for (int i = 0; i < nvml.device_count(); ++i) {
    const double memory = nvml.Read(i).memory_total_bytes.value_or(0);
    devices.push_back({nvml.Uuid(i), nvml.Name(i), static_cast<int64_t>(memory)});
  }
  return devices;
}

absl::StatusOr<std::vector<CudaDevice>> VisibleCudaDevices(
    const std::vector<CudaDevice>& all, const std::optional<std::string>& visible) {
  if (!visible.has_value()) return all;
  std::vector<CudaDevice> devices;
  for (absl::string_view name : absl::StrSplit(*visible, ',', absl::SkipWhitespace())) {
    name = absl::StripAsciiWhitespace(name);
    if (name == "-1") break;  // Nothing after it is visible.
    DISTILL_ASSIGN_OR_RETURN(CudaDevice device, Find(all, name));
    devices.push_back(std::move(device));
  }
  return devices;
}

std::vector<CudaDevice> CudaDevicesOfOneKind(const std::vector<CudaDevice>& devices) {
  std::vector<CudaDevice> same;
  for (const CudaDevice& device : devices) {
    if (device.name == devices.front().name) {
      same.push_back(device);
    } else {
      LogWarning(
          "GPU is left out: it is not of the kind of the first; start another worker for it, with "
          "CUDA_VISIBLE_DEVICES",
          {{"name", device.name}, {"uuid", device.uuid}, {"first", devices.front().name}});
    }
  }
  return same;
}

std::string OnlyCudaDevice(const CudaDevice& device) {
  return absl::StrCat("CUDA_VISIBLE_DEVICES=", device.uuid);
}

absl::StatusOr<std::string> AskCudaNumericClass(TrainerProcess::Config trainer,
                                                const CudaDevice& device) {
  trainer.environment.push_back(OnlyCudaDevice(device));
  trainer.environment.push_back(absl::StrCat(kNumericClassVariable, "=", kCudaClassPrefix));
  DISTILL_ASSIGN_OR_RETURN(const std::unique_ptr<TrainerProcess> process,
                           TrainerProcess::Start(trainer));
  const WakeDescriptor wake;
  const SystemClock clock;
  const MonotonicTime deadline = clock.Now() + kReadyTimeout;
  while (clock.Now() < deadline) {
    DISTILL_ASSIGN_OR_RETURN(const std::vector<v1::TrainerEvent> events,
                             process->Wait(wake.descriptor(), deadline - clock.Now()));
    for (const v1::TrainerEvent& event : events) {
      if (!event.has_ready()) continue;
      const std::string& numeric_class = event.ready().numeric_class();
      if (absl::StartsWith(numeric_class, absl::StrCat(kCudaClassPrefix, "-sm"))) {
        return numeric_class;
      }
      return absl::FailedPreconditionError(absl::StrCat(
          "the trainer's LibTorch ", event.ready().libtorch_version(),
          " cannot compute on the GPU; install a trainer that is built with CUDA; class=",
          numeric_class));
    }
  }
  return absl::DeadlineExceededError("trainer did not become ready on the GPU");
}

}  // namespace distill::worker
