#include "server/engine/driver_metrics.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "server/scheduler/transitions.h"
#include "storage/state/records.h"

namespace distill::server {
namespace {

using storage::AttemptState;
using storage::FailureClass;
using storage::JobState;
using storage::LedgerEntry;
using storage::TaskState;

// How attempts end. An end that is not here is counted too, from its first time on.
constexpr std::pair<AttemptState, FailureClass> kAttemptEnds[] = {
    {AttemptState::kSucceeded, FailureClass::kNone},
    {AttemptState::kFailed, FailureClass::kUser},
    {AttemptState::kFailed, FailureClass::kInfrastructure},
    {AttemptState::kFailed, FailureClass::kResource},
    {AttemptState::kFailed, FailureClass::kPoison},
    {AttemptState::kExpired, FailureClass::kInfrastructure},
    {AttemptState::kExpired, FailureClass::kPreempted},
    {AttemptState::kReleased, FailureClass::kPreempted},
    {AttemptState::kCancelled, FailureClass::kPreempted},
};

// Lines of the ledger that hold time.
constexpr LedgerEntry kTimedEntries[] = {
    LedgerEntry::kSpent,          LedgerEntry::kSaved,
    LedgerEntry::kLostUser,       LedgerEntry::kLostInfrastructure,
    LedgerEntry::kLostResource,   LedgerEntry::kLostPreempted,
    LedgerEntry::kLostPoison,     LedgerEntry::kLostCancelled,
    LedgerEntry::kLostSuperseded, LedgerEntry::kLostResult,
};

Counter* Lookups(Metrics& metrics, const char* result) {
  return &metrics.AddCounter("distill_cache_lookups_total",
                             "Tasks that became ready, by whether an equal task had a result.",
                             {{"result", result}});
}

}  // namespace

DriverMetrics::DriverMetrics(Metrics& metrics, const std::vector<std::string>& task_kinds)
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
                                            "Calls that wait for the scheduler's thread.")) {
  for (const TaskTransition& transition : TaskTransitions()) {
    transitions_[{transition.from, transition.event}] =
        &Transitions(transition.from, transition.event);
  }
  for (const std::string& kind : task_kinds) {
    for (const auto& [outcome, cause] : kAttemptEnds) AttemptsEnded(kind, outcome, cause);
    for (const LedgerEntry entry : kTimedEntries) DeviceSeconds(kind, entry);
    DeviceSecondsRegained(kind);
    Duration(kind);
    ScheduleLatency(kind);
  }
}

Counter& DriverMetrics::Transitions(TaskState from, TaskEvent event) {
  return metrics_->AddCounter(
      "distill_task_transitions_total", "Changes of state of tasks, by state and event.",
      {{"from", absl::AsciiStrToLower(storage::Name(from))}, {"event", Name(event)}});
}

Counter& DriverMetrics::AttemptsEnded(const std::string& kind, AttemptState outcome,
                                      FailureClass cause) {
  return metrics_->AddCounter("distill_attempts_total", "Attempts that ended.",
                              {{"kind", kind},
                               {"outcome", absl::AsciiStrToLower(storage::Name(outcome))},
                               {"cause", absl::AsciiStrToLower(storage::Name(cause))}});
}

Histogram& DriverMetrics::Duration(const std::string& kind) {
  return metrics_->AddHistogram("distill_task_duration_seconds",
                                "From leased to succeeded, last attempt.", LatencyBounds(),
                                {{"kind", kind}});
}

Histogram& DriverMetrics::ScheduleLatency(const std::string& kind) {
  return metrics_->AddHistogram("distill_task_schedule_latency_seconds", "From ready to leased.",
                                LatencyBounds(), {{"kind", kind}});
}

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
    transitions_.at({transition.from, transition.event})->Increment();
  }
  for (const AttemptEnd& end : effects.attempts_ended) {
    AttemptsEnded(end.kind, end.outcome, end.cause).Increment();
    if (end.outcome != AttemptState::kSucceeded) continue;
    Duration(end.kind).Observe(absl::ToDoubleSeconds(end.took));
  }
  for (const Booking& booking : effects.booked) CountBooking(booking);
  add(leases_granted_, static_cast<int64_t>(effects.attempts_started.size()));
  for (const AttemptStart& start : effects.attempts_started) {
    ScheduleLatency(start.kind).Observe(absl::ToDoubleSeconds(start.waited));
  }
}

Counter& DriverMetrics::DeviceSeconds(const std::string& kind, LedgerEntry entry) {
  if (entry == LedgerEntry::kSpent) {
    return metrics_->AddCounter("distill_device_seconds_spent_total",
                                "Device-seconds of attempts that ended.", {{"kind", kind}});
  }
  if (entry == LedgerEntry::kSaved) {
    return metrics_->AddCounter("distill_device_seconds_saved_total",
                                "Device-seconds that results had cost which were reused.",
                                {{"kind", kind}});
  }
  return metrics_->AddCounter(
      "distill_device_seconds_lost_total",
      "Device-seconds of attempts that are in no result and no checkpoint.",
      {{"kind", kind}, {"cause", absl::AsciiStrToLower(storage::Name(entry))}});
}

Counter& DriverMetrics::DeviceSecondsRegained(const std::string& kind) {
  return metrics_->AddCounter(
      "distill_device_seconds_regained_total",
      "Device-seconds counted as lost of which the work came in late after all.", {{"kind", kind}});
}

void DriverMetrics::CountBooking(const Booking& booking) {
  const double seconds = absl::ToDoubleSeconds(booking.device_time);
  if (seconds > 0) {
    DeviceSeconds(booking.kind, booking.entry).Increment(seconds);
  } else if (seconds < 0 && storage::IsLoss(booking.entry)) {
    DeviceSecondsRegained(booking.kind).Increment(-seconds);
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
