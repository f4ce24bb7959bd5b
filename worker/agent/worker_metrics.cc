#include "worker/agent/worker_metrics.h"

#include <cmath>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"

namespace distill::worker {
namespace {

using SlotSeries = WorkerMetrics::SlotSeries;

constexpr SlotSeries kImagesPerSecond = {"distill_worker_train_images_per_second",
                                         "Training images per second; 0 of an idle slot."};
constexpr SlotSeries kStep = {"distill_worker_train_step",
                              "Step of the running attempt; 0 of an idle slot."};
constexpr SlotSeries kLoss = {"distill_worker_train_loss",
                              "Training loss; not a number of an idle slot."};
constexpr SlotSeries kDataWait = {
    "distill_worker_data_wait_ratio",
    "Share of time that training waited for data, 0 to 1; 0 of an idle slot."};

}  // namespace

WorkerMetrics::WorkerMetrics(Metrics& metrics, int slots) : metrics_(&metrics) {
  for (int slot = 0; slot < slots; ++slot) EndReport(slot);
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
  SlotGauge(slot, kImagesPerSecond).Set(progress.images_per_second());
  SlotGauge(slot, kStep).Set(static_cast<double>(progress.step()));
  SlotGauge(slot, kDataWait).Set(progress.data_wait_ratio());
  if (std::isfinite(progress.loss())) SlotGauge(slot, kLoss).Set(progress.loss());
}

void WorkerMetrics::EndReport(int slot) {
  for (const SlotSeries& series : {kImagesPerSecond, kStep, kDataWait}) {
    SlotGauge(slot, series).Set(0);
  }
  // There is no loss that could stand for none.
  SlotGauge(slot, kLoss).Set(std::numeric_limits<double>::quiet_NaN());
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

Gauge& WorkerMetrics::SlotGauge(int slot, const SlotSeries& series) {
  return metrics_->AddGauge(series.name, series.help, {{"slot", absl::StrCat(slot)}});
}

Gauge& WorkerMetrics::StateGauge(SlotState state) {
  const char* label = state == SlotState::kIdle        ? "idle"
                      : state == SlotState::kPreparing ? "preparing"
                                                       : "running";
  return metrics_->AddGauge("distill_worker_slots", "Slots by what they do.", {{"state", label}});
}

}  // namespace distill::worker
