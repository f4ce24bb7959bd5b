// What the driver counts, by the names that /metrics shows.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "absl/time/time.h"
#include "base/metrics.h"
#include "server/scheduler/core.h"
#include "server/scheduler/effects.h"

namespace distill::server {

// Writer thread only.
class DriverMetrics {
 public:
  explicit DriverMetrics(Metrics& metrics);

  void Count(const Effects& effects);
  void CountCommit(absl::Duration took, size_t events);
  void SetQueueDepth(size_t depth);
  // Gauges; call now and then.
  void SetTotals(const CoreTotals& totals);

 private:
  Metrics* const metrics_;
  Counter* const leases_expired_;
  Counter* const stale_rejected_;
  Counter* const salvaged_;
  Counter* const cache_hits_;
  Counter* const cache_misses_;
  Counter* const cache_shared_;
  Counter* const nondeterminism_;
  Histogram* const schedule_latency_;
  Histogram* const commit_seconds_;
  Histogram* const batch_size_;
  Gauge* const queue_depth_;
};

}  // namespace distill::server
