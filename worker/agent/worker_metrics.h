// Metrics of the slots. Those of a running lease set carry the slot's number, which is bounded.
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
  // The slot trains nothing any more.
  void EndReport(int slot);
  // `outcome`: "succeeded", "failed", "released", "abandoned".
  void CountAttempt(absl::string_view outcome);
  // `kind`: "cold" or "warm".
  void CountTrainerStart(absl::string_view kind);
  void CountTrainerDeath();

  // A gauge with one series for each slot.
  struct SlotSeries {
    const char* name;
    const char* help;
  };

 private:
  Gauge& SlotGauge(int slot, const SlotSeries& series);
  Gauge& StateGauge(SlotState state);

  Metrics* const metrics_;
};

}  // namespace distill::worker
