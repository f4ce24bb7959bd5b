#include "worker/agent/worker_metrics.h"

#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"

namespace distill::worker {
namespace {

constexpr char kImagesPerSecond[] = "distill_worker_train_images_per_second";
constexpr char kStep[] = "distill_worker_train_step";
constexpr char kLoss[] = "distill_worker_train_loss";
constexpr char kDataWait[] = "distill_worker_data_wait_ratio";

MetricLabels SlotLabels(int slot) { return {{"slot", absl::StrCat(slot)}}; }

}  // namespace

WorkerMetrics::WorkerMetrics(Metrics& metrics, int slots) : metrics_(&metrics) {
  StateGauge(SlotState::kIdle).Set(slots);
  StateGauge(SlotState::kPreparing).Set(0);
  StateGauge(SlotState::kRunning).Set(0);
  for (const char* outcome : {"succeeded", "failed", "released", "abandoned"}) {
    metrics_->AddCounter("distill_worker_attempts_total", "Attempts that ended here.",
                         {{"outcome", outcome}});
  }
  for (const char* kind : {"cold", "warm"}) {
    metrics_->AddCounter("distill_worker_trainer_starts_total", "Lease sets started, by trainer.",
                         {{"trainer", kind}});
  }
  metrics_->AddCounter("distill_worker_trainer_deaths_total", "Trainers that died on their own.");
}

void WorkerMetrics::MoveSlot(SlotState from, SlotState to) {
  StateGauge(from).Add(-1);
  StateGauge(to).Add(1);
}

void WorkerMetrics::Report(int slot, const v1::Progress& progress) {
  const MetricLabels labels = SlotLabels(slot);
  metrics_->AddGauge(kImagesPerSecond, "Training images per second.", labels)
      .Set(progress.images_per_second());
  metrics_->AddGauge(kStep, "Step of the running attempt.", labels)
      .Set(static_cast<double>(progress.step()));
  metrics_->AddGauge(kDataWait, "Share of time that training waited for data, 0 to 1.", labels)
      .Set(progress.data_wait_ratio());
  if (std::isfinite(progress.loss())) {
    metrics_->AddGauge(kLoss, "Training loss.", labels).Set(progress.loss());
  }
}

void WorkerMetrics::EndReport(int slot) {
  for (const char* name : {kImagesPerSecond, kStep, kLoss, kDataWait}) {
    metrics_->Remove(name, SlotLabels(slot));
  }
}

void WorkerMetrics::CountAttempt(absl::string_view outcome) {
  metrics_
      ->AddCounter("distill_worker_attempts_total", "Attempts that ended here.",
                   {{"outcome", std::string(outcome)}})
      .Increment();
}

void WorkerMetrics::CountTrainerStart(absl::string_view kind) {
  metrics_
      ->AddCounter("distill_worker_trainer_starts_total", "Lease sets started, by trainer.",
                   {{"trainer", std::string(kind)}})
      .Increment();
}

void WorkerMetrics::CountTrainerDeath() {
  metrics_->AddCounter("distill_worker_trainer_deaths_total", "Trainers that died on their own.")
      .Increment();
}

Gauge& WorkerMetrics::StateGauge(SlotState state) {
  const char* label = state == SlotState::kIdle        ? "idle"
                      : state == SlotState::kPreparing ? "preparing"
                                                       : "running";
  return metrics_->AddGauge("distill_worker_slots", "Slots by what they do.", {{"state", label}});
}

}  // namespace distill::worker
