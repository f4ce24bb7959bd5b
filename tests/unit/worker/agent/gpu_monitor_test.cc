#include "worker/agent/gpu_monitor.h"

#include "base/prometheus_metrics.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace distill::worker {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

GpuMonitor::Config Fake() {
  GpuMonitor::Config config;
  config.library = FAKE_NVML_PATH;
  return config;
}

TEST(GpuMonitorTest, ExportsEveryGpu) {
  PrometheusMetrics metrics;
  GpuMonitor monitor(Fake(), metrics);
  const std::string page = metrics.Expose();
  const std::string first = "{gpu=\"0\",name=\"Fake GPU\",uuid=\"GPU-0\"}";
  const std::string second = "{gpu=\"1\",name=\"Fake GPU\",uuid=\"GPU-1\"}";
  EXPECT_THAT(page, HasSubstr("distill_worker_gpu_utilization_ratio" + first + " 0.75\n"));
  EXPECT_THAT(page, HasSubstr("distill_worker_gpu_utilization_ratio" + second + " 0\n"));
  EXPECT_THAT(page, HasSubstr("distill_worker_gpu_memory_used_bytes" + first + " 2147483648\n"));
  EXPECT_THAT(page, HasSubstr("distill_worker_gpu_memory_total_bytes" + first + " 8589934592\n"));
  EXPECT_THAT(page, HasSubstr("distill_worker_gpu_temperature_celsius" + first + " 61\n"));
  EXPECT_THAT(page, HasSubstr("distill_worker_gpu_power_watts" + first + " 312.5\n"));
  EXPECT_THAT(page, HasSubstr("distill_worker_gpu_power_watts" + second + " 0\n"));
  EXPECT_THAT(page, HasSubstr("distill_worker_gpu_errors_total" + first + " 0\n"));
  EXPECT_THAT(page, HasSubstr("distill_worker_gpu_errors_total" + second + " 1\n"));
}

TEST(GpuMonitorTest, StopsThoughItsNextReadingIsFarAway) {
  PrometheusMetrics metrics;
  GpuMonitor::Config config = Fake();
  config.interval = absl::Hours(1);
  GpuMonitor monitor(config, metrics);
  monitor.Start();
  monitor.Stop();
  monitor.Stop();
}

TEST(GpuMonitorTest, WithoutALibraryThereIsNothingToTell) {
  PrometheusMetrics metrics;
  GpuMonitor::Config config;
  config.library = "/no/such/libnvidia-ml.so";
  GpuMonitor monitor(config, metrics);
  monitor.Start();
  EXPECT_THAT(metrics.Expose(), IsEmpty());
}

TEST(GpuMonitorTest, AnotherLibraryIsRefused) {
  EXPECT_THAT(Nvml::Open("libz.so.1"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("call=nvmlInit_v2")));
}

}  // namespace
}  // namespace distill::worker
