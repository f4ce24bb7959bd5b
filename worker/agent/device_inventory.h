// What this machine can compute with: numeric classes it can pin, cores, memory; and the
// environment that pins a trainer to one class.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "worker/agent/cuda_devices.h"

namespace distill::worker {

// Instruction sets that decide which kernels OpenBLAS and ATen choose.
struct CpuFeatures {
  bool avx2 = false;    // AVX2 and FMA.
  bool avx512 = false;  // AVX-512 F, BW, DQ and VL.
};

// Asks the processor.
CpuFeatures DetectCpuFeatures();

// Returns the classes that a processor can be pinned to, best first; never empty. Every x86-64 can
// stand in for a lesser one.
std::vector<std::string> NumericClasses(const CpuFeatures& features);

// Returns "NAME=value" pairs that pin a trainer to `numeric_class` and to one thread. The class
// "any" or "" means the best of `available`. kInvalidArgument when it is not available.
absl::StatusOr<std::vector<std::string>> NumericEnvironment(
    absl::string_view numeric_class, const std::vector<std::string>& available);

struct DeviceInventory {
  std::string hostname;
  std::string device_kind = "cpu";
  std::vector<std::string> numeric_classes;
  int cores = 1;
  int64_t memory_bytes = 0;
  std::string driver_version;  // "535.104.05"; empty: no device with a driver.
  // What trainers compute on, of one kind; empty: the processor.
  std::vector<CudaDevice> cuda_devices;
};

// Reads the machine. kInternal when /proc/meminfo cannot be understood.
absl::StatusOr<DeviceInventory> TakeInventory();

// Returns the version in the text of /proc/driver/nvidia/version; empty when it has none.
std::string ParseDriverVersion(absl::string_view text);

// Returns MemTotal of the text of /proc/meminfo, in bytes.
absl::StatusOr<int64_t> ParseMemTotal(absl::string_view meminfo);

}  // namespace distill::worker
