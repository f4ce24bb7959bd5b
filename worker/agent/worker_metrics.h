// Metrics of the slots. Those of a running lease set carry the slot's number, which is bounded, and
// are removed when it ends.
#pragma once

#include "absl/strings/string_view.h"
#include "base/metrics.h"
#include "distill/v1/worker_service.pb.h"

namespace distill::worker {

enum class SlotState { kIdle, kPreparing, kRunning };

// Thread-safe.
class WorkerMetrics {
 public:
  // `metrics` must outlive this. All slots begin idle.
  WorkerMetrics(Metrics& metrics, int slots);

  void MoveSlot(SlotState from, SlotState to);
  void Report(int slot, const v1::Progress& progress);
  // Removes the series of Report().
  void EndReport(int slot);
  // `outcome`: "succeeded", "failed", "released", "abandoned".
  void CountAttempt(absl::string_view outcome);
  // `kind`: "cold" or "warm".
  void CountTrainerStart(absl::string_view kind);
  void CountTrainerDeath();

 private:
  Gauge& StateGauge(SlotState state);

  Metrics* const metrics_;
};

}  // namespace distill::worker
