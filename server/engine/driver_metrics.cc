#include "server/engine/driver_metrics.h"

#include "absl/strings/ascii.h"
#include "storage/state/records.h"

namespace distill::server {
namespace {

using storage::JobState;
using storage::TaskState;

Counter* Lookups(Metrics& metrics, const char* result) {
  return &metrics.AddCounter("distill_cache_lookups_total",
                             "Tasks that became ready, by whether an equal task had a result.",
                             {{"result", result}});
}

}  // namespace

DriverMetrics::DriverMetrics(Metrics& metrics)
    : metrics_(&metrics),
      leases_granted_(
          &metrics.AddCounter("distill_leases_granted_total", "Leases given to workers.")),
      leases_expired_(&metrics.AddCounter("distill_lease_expirations_total",
                                          "Leases that were not renewed in time.")),
      stale_rejected_(&metrics.AddCounter("distill_stale_rpc_rejected_total",
                                          "Calls refused because their lease was lost.")),
      salvaged_(&metrics.AddCounter("distill_attempt_salvaged_total",
                                    "Results taken from attempts whose lease had expired.")),
      cache_hits_(Lookups(metrics, "hit")),
      cache_misses_(Lookups(metrics, "miss")),
      cache_merged_(Lookups(metrics, "merged")),
      nondeterminism_(&metrics.AddCounter("distill_nondeterminism_detected_total",
                                          "Equal tasks that published different digests.")),
      preemptions_(&metrics.AddCounter("distill_preemptions_total",
                                       "Leases that were wanted back: pause, drain deadline.")),
      quarantines_(&metrics.AddCounter("distill_workers_quarantined_total",
                                       "Workers put in quarantine after failures in a row.")),
      stalled_(&metrics.AddCounter("distill_attempts_stalled_total",
                                   "Attempts ended because heartbeats brought no progress.")),
      speculated_(&metrics.AddCounter("distill_attempts_speculated_total",
                                      "Second attempts of stragglers.")),
      quota_refusals_(
          &metrics.AddCounter("distill_quota_refusals_total", "Submissions refused by a quota.")),
      commit_seconds_(&metrics.AddHistogram(
          "distill_db_commit_seconds", "Time of one commit of the state store.", LatencyBounds())),
      batch_size_(&metrics.AddHistogram("distill_db_batch_size", "Events in one commit.",
                                        {1, 2, 4, 8, 16, 32, 64, 128, 256, 512})),
      event_queue_length_(&metrics.AddGauge("distill_event_queue_length",
                                            "Calls that wait for the scheduler's thread.")) {}

void DriverMetrics::Count(const Effects& effects) {
  const auto add = [](Counter* counter, int64_t by) {
    if (by > 0) counter->Increment(static_cast<double>(by));
  };
  add(leases_expired_, effects.counts.leases_expired);
  add(stale_rejected_, effects.counts.stale_calls_rejected);
  add(salvaged_, effects.counts.attempts_salvaged);
  add(cache_hits_, effects.counts.results_reused);
  add(cache_misses_, effects.counts.results_missed);
  add(cache_merged_, effects.counts.followers_joined);
  add(nondeterminism_, effects.counts.nondeterminism_detected);
  add(preemptions_, effects.counts.preemptions);
  add(quarantines_, effects.counts.workers_quarantined);
  add(stalled_, effects.counts.attempts_stalled);
  add(speculated_, effects.counts.attempts_speculated);
  add(quota_refusals_, effects.counts.quota_refusals);
  for (const TaskTransition& transition : effects.transitions) {
    Counter*& counter = transitions_[{transition.from, transition.event}];
    if (counter == nullptr) {
      counter = &metrics_->AddCounter(
          "distill_task_transitions_total", "Changes of state of tasks, by state and event.",
          {{"from", absl::AsciiStrToLower(storage::Name(transition.from))},
           {"event", Name(transition.event)}});
    }
    counter->Increment();
  }
  for (const AttemptEnd& end : effects.attempts_ended) {
    metrics_
        ->AddCounter("distill_attempts_total", "Attempts that ended.",
                     {{"kind", end.kind},
                      {"outcome", absl::AsciiStrToLower(storage::Name(end.outcome))},
                      {"cause", absl::AsciiStrToLower(storage::Name(end.cause))}})
        .Increment();
    if (end.outcome != storage::AttemptState::kSucceeded) continue;
    metrics_
        ->AddHistogram("distill_task_duration_seconds", "From leased to succeeded, last attempt.",
                       LatencyBounds(), {{"kind", end.kind}})
        .Observe(absl::ToDoubleSeconds(end.took));
  }
  add(leases_granted_, static_cast<int64_t>(effects.attempts_started.size()));
  for (const AttemptStart& start : effects.attempts_started) {
    metrics_
        ->AddHistogram("distill_task_schedule_latency_seconds", "From ready to leased.",
                       LatencyBounds(), {{"kind", start.kind}})
        .Observe(absl::ToDoubleSeconds(start.waited));
  }
}

void DriverMetrics::CountCommit(absl::Duration took, size_t events) {
  commit_seconds_->Observe(absl::ToDoubleSeconds(took));
  batch_size_->Observe(static_cast<double>(events));
}

void DriverMetrics::SetEventQueueLength(size_t length) {
  event_queue_length_->Set(static_cast<double>(length));
}

void DriverMetrics::SetTotals(const CoreTotals& totals) {
  for (const JobState state : {JobState::kRunning, JobState::kSucceeded, JobState::kFailed,
                               JobState::kCancelling, JobState::kCancelled, JobState::kPaused}) {
    const auto found = totals.jobs.find(state);
    metrics_
        ->AddGauge("distill_jobs", "Jobs that the server knows, by state.",
                   {{"state", absl::AsciiStrToLower(storage::Name(state))}})
        .Set(found == totals.jobs.end() ? 0 : static_cast<double>(found->second));
  }
  for (const TaskState state : {TaskState::kBlocked, TaskState::kQueued, TaskState::kRunning,
                                TaskState::kSucceeded, TaskState::kFailed, TaskState::kCancelled}) {
    const auto found = totals.tasks.find(state);
    metrics_
        ->AddGauge("distill_tasks", "Tasks that the server knows, by state.",
                   {{"state", absl::AsciiStrToLower(storage::Name(state))}})
        .Set(found == totals.tasks.end() ? 0 : static_cast<double>(found->second));
  }
  const auto queued = [this](const char* reason, int64_t count) {
    metrics_
        ->AddGauge("distill_queue_depth", "Ready tasks, by why they wait.", {{"reason", reason}})
        .Set(static_cast<double>(count));
  };
  queued("slot", totals.ready_tasks);
  queued("backoff", totals.backoff_tasks);
  queued("equal_task", totals.following_tasks);
  queued("job_paused", totals.held_tasks);
  metrics_
      ->AddGauge("distill_queue_oldest_age_seconds",
                 "Age of the oldest ready task; 0 if there is none.")
      .Set(absl::ToDoubleSeconds(totals.oldest_wait));
}

}  // namespace distill::server
