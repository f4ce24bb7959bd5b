// What the driver counts, by the names that /metrics shows.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/metrics.h"
#include "server/scheduler/core.h"
#include "server/scheduler/effects.h"

namespace distill::server {

// Writer thread only.
class DriverMetrics {
 public:
  // All series of these kinds of tasks exist from now on.
  DriverMetrics(Metrics& metrics, const std::vector<std::string>& task_kinds);

  void Count(const Effects& effects);
  void CountCommit(absl::Duration took, size_t events);
  void SetEventQueueLength(size_t length);
  // Gauges; call now and then.
  void SetTotals(const CoreTotals& totals);

 private:
  Counter& Transitions(storage::TaskState from, TaskEvent event);
  Counter& AttemptsEnded(const std::string& kind, storage::AttemptState outcome,
                         storage::FailureClass cause);
  Histogram& Duration(const std::string& kind);
  Histogram& ScheduleLatency(const std::string& kind);
  Counter& DeviceSeconds(const std::string& kind, storage::LedgerEntry entry);
  Counter& DeviceSecondsRegained(const std::string& kind);
  void CountBooking(const Booking& booking);

  Metrics* const metrics_;
  Counter* const leases_granted_;
  Counter* const leases_expired_;
  Counter* const stale_rejected_;
  Counter* const salvaged_;
  Counter* const cache_hits_;
  Counter* const cache_misses_;
  Counter* const cache_merged_;
  Counter* const nondeterminism_;
  Counter* const preemptions_;
  Counter* const quarantines_;
  Counter* const stalled_;
  Counter* const speculated_;
  Counter* const quota_refusals_;
  std::map<std::pair<storage::TaskState, TaskEvent>, Counter*> transitions_;
  Histogram* const commit_seconds_;
  Histogram* const batch_size_;
  Gauge* const event_queue_length_;
};

}  // namespace distill::server
