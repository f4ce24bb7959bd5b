// What the GPUs of this machine do, read through NVIDIA's management library and exported as
// metrics. The library is opened at run time, so a worker is built and runs without it: then there
// are no GPUs to tell of.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "worker/agent/nvml.h"

namespace distill::worker {

// Owns one thread. Thread-safe.
class GpuMonitor {
 public:
  struct Config {
    // Searched as dlopen() searches.
    std::string library = "libnvidia-ml.so.1";
    absl::Duration interval = absl::Seconds(5);
  };

  // Opens the library and reads every GPU once. Without a library, or a GPU, it does nothing.
  // `metrics` must outlive this.
  GpuMonitor(Config config, Metrics& metrics);
  // Stops.
  ~GpuMonitor();

  void Start();
  // Idempotent.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Gauges;

  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  void Read();

  const Config config_;
  std::unique_ptr<Nvml> nvml_;  // Null without a library or a GPU.
  std::vector<Gauges> gauges_;
  Mutex mu_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace distill::worker
