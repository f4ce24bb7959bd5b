#include "worker/agent/gpu_monitor.h"

#include <pthread.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"

namespace distill::worker {

struct GpuMonitor::Gauges {
  Gauges(Metrics& metrics, const MetricLabels& labels)
      : utilization(&metrics.AddGauge("distill_worker_gpu_utilization_ratio",
                                      "Share of time that a kernel ran, 0 to 1.", labels)),
        memory_used(&metrics.AddGauge("distill_worker_gpu_memory_used_bytes",
                                      "Memory of the GPU in use, by anybody.", labels)),
        memory_total(&metrics.AddGauge("distill_worker_gpu_memory_total_bytes",
                                       "Memory of the GPU.", labels)),
        temperature(&metrics.AddGauge("distill_worker_gpu_temperature_celsius",
                                      "Temperature of the GPU.", labels)),
        power(&metrics.AddGauge("distill_worker_gpu_power_watts", "What the board draws.", labels)),
        errors(&metrics.AddCounter("distill_worker_gpu_errors_total",
                                   "Errors (Xid) that the driver reported.", labels)) {}

  void Set(const GpuReading& reading) const {
    const auto set = [](Gauge* gauge, const std::optional<double>& value) {
      if (value.has_value()) gauge->Set(*value);
    };
    set(utilization, reading.utilization);
    set(memory_used, reading.memory_used_bytes);
    set(memory_total, reading.memory_total_bytes);
    set(temperature, reading.temperature_celsius);
    set(power, reading.power_watts);
  }

  Gauge* utilization;
  Gauge* memory_used;
  Gauge* memory_total;
  Gauge* temperature;
  Gauge* power;
  Counter* errors;
};

GpuMonitor::GpuMonitor(Config config, Metrics& metrics) : config_(std::move(config)) {
  absl::StatusOr<std::unique_ptr<Nvml>> nvml = Nvml::Open(config_.library);
  if (!nvml.ok()) {
    LogDebug("no metrics of GPUs", {{"cause", nvml.status()}});
    return;
  }
  if ((*nvml)->device_count() == 0) return;
  nvml_ = *std::move(nvml);
  for (int i = 0; i < nvml_->device_count(); ++i) {
    const std::string name = nvml_->Name(i);
    const std::string uuid = nvml_->Uuid(i);
    LogInfo("GPU found", {{"gpu", i}, {"name", name}, {"uuid", uuid}});
    gauges_.emplace_back(metrics,
                         MetricLabels{{"gpu", absl::StrCat(i)}, {"name", name}, {"uuid", uuid}});
  }
  Read();
}

GpuMonitor::~GpuMonitor() { Stop(); }

void GpuMonitor::Start() {
  if (nvml_ == nullptr) return;
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), "gpu-monitor");
}

void GpuMonitor::Stop() {
  {
    MutexLock lock(mu_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void GpuMonitor::Run() {
  for (;;) {
    {
      MutexLock lock(mu_);
      if (!stopping_) changed_.WaitFor(mu_, config_.interval);
      if (stopping_) return;
    }
    Read();
  }
}

void GpuMonitor::Read() {
  for (size_t i = 0; i < gauges_.size(); ++i) gauges_[i].Set(nvml_->Read(static_cast<int>(i)));
  for (const int device : nvml_->TakeErrors()) {
    LogError("the GPU driver reports an error", {{"gpu", device}});
    gauges_[static_cast<size_t>(device)].errors->Increment();
  }
}

}  // namespace distill::worker
