// The GPUs that trainers of this worker compute on, one for each slot.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/agent/nvml.h"
#include "worker/agent/trainer_process.h"

namespace distill::worker {

struct CudaDevice {
  std::string uuid;  // "GPU-8d1e..."
  std::string name;  // "NVIDIA H200"
  int64_t memory_bytes = 0;
};

std::vector<CudaDevice> ListCudaDevices(const Nvml& nvml);

// Those that `visible` names, in its order, as the CUDA runtime reads CUDA_VISIBLE_DEVICES: numbers
// or beginnings of UUIDs, separated by commas; "" and "-1" name none. Without it, all.
// kInvalidArgument when it names one that is not there.
absl::StatusOr<std::vector<CudaDevice>> VisibleCudaDevices(
    const std::vector<CudaDevice>& all, const std::optional<std::string>& visible);

// The first device and those of its kind: trainers of one worker compute in one numeric class. The
// others are named in the log.
std::vector<CudaDevice> CudaDevicesOfOneKind(const std::vector<CudaDevice>& devices);

// "NAME=value" that shows a trainer this device alone.
std::string OnlyCudaDevice(const CudaDevice& device);

// Starts the trainer on the device and asks for its numeric class; takes seconds.
// kFailedPrecondition: it cannot compute there. Otherwise it does not run at all.
absl::StatusOr<std::string> AskCudaNumericClass(TrainerProcess::Config trainer,
                                                const CudaDevice& device);

}  // namespace distill::worker
