// The few calls of NVIDIA's management library (NVML) that a worker needs, bound at run time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace distill::worker {

// What a device does not tell is absent.
struct GpuReading {
  std::optional<double> utilization;  // 0 to 1, over the last moments.
  std::optional<double> memory_used_bytes;
  std::optional<double> memory_total_bytes;
  std::optional<double> temperature_celsius;
  std::optional<double> power_watts;
};

// Thread-compatible.
class Nvml {
 public:
  // kNotFound: there is no such library, or it lacks a call. kUnavailable: it finds no driver.
  static absl::StatusOr<std::unique_ptr<Nvml>> Open(const std::string& library);
  virtual ~Nvml() = default;

  virtual int device_count() const = 0;
  // "NVIDIA H200".
  virtual std::string Name(int device) const = 0;
  // "GPU-8d1e...", which stays the same when devices are put elsewhere.
  virtual std::string Uuid(int device) const = 0;
  virtual GpuReading Read(int device) const = 0;
  // Errors (Xid) that the driver has reported since the last call, by device; one entry an error.
  virtual std::vector<int> TakeErrors() = 0;
};

}  // namespace distill::worker
