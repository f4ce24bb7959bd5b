// What keeps a worker from new work: draining, and quarantine, by hand or because it failed too
// often. And the other side of the same failures: tasks that fail or kill wherever they run.
#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/scheduler/core_step.h"

namespace distill::server {

using storage::AttemptState;
using storage::FailureClass;
using storage::Quarantine;

absl::Status CoreStep::CheckKnown(const WorkerId& worker, absl::string_view action) const {
  if (state_.workers.count(worker) != 0 || state_.holds.count(worker) != 0) return absl::OkStatus();
  return absl::NotFoundError(
      absl::StrCat("cannot ", action, " worker: never heard of it; worker=", worker.str()));
}

WorkerHold& CoreStep::HoldFor(const WorkerId& worker) {
  WorkerHold& hold = state_.holds[worker];
  hold.record.id = worker;
  return hold;
}

void CoreStep::KeepHold(const WorkerId& worker) {
  const auto hold = state_.holds.find(worker);
  effects_.mutations.push_back(storage::PutWorker{hold->second.record});
  if (!hold->second.record.draining && hold->second.record.quarantine == Quarantine::kNone) {
    state_.holds.erase(hold);
    state_.match_wanted = true;
  }
}

void CoreStep::On(uint64_t call, DrainWorker& event) {
  absl::Status known = CheckKnown(event.worker, "drain");
  if (!known.ok()) return Refuse(call, std::move(known));
  WorkerHold& hold = HoldFor(event.worker);
  const bool was_draining = std::exchange(hold.record.draining, true);
  hold.record.drain_deadline = storage::kUnsetTime;
  hold.drain_by = InfiniteFuture();
  if (event.deadline < absl::InfiniteDuration()) {
    const absl::Duration wait = std::max(event.deadline, absl::ZeroDuration());
    hold.record.drain_deadline = now_.wall + wait;
    hold.drain_by = now_.monotonic + wait;
    state_.hold_deadlines.emplace(hold.drain_by.since_start, event.worker);
  }
  const auto worker = state_.workers.find(event.worker);
  if (!was_draining && worker != state_.workers.end()) {
    worker->second.drain_announced = false;
    notify_.insert(event.worker);
  }
  FireHold(event.worker);
  KeepHold(event.worker);
  ReplyTo(call, Done{});
}

void CoreStep::On(uint64_t call, QuarantineWorker& event) {
  absl::Status known = CheckKnown(event.worker, "quarantine");
  if (!known.ok()) return Refuse(call, std::move(known));
  WorkerHold& hold = HoldFor(event.worker);
  hold.record.quarantine = Quarantine::kManual;
  hold.record.quarantine_reason = std::move(event.reason);
  hold.failed_canaries = 0;
  KeepHold(event.worker);
  ReplyTo(call, Done{});
}

void CoreStep::On(uint64_t call, ReleaseWorker& event) {
  absl::Status known = CheckKnown(event.worker, "resume");
  if (!known.ok()) return Refuse(call, std::move(known));
  ForgetFailures(event.worker);
  const auto worker = state_.workers.find(event.worker);
  if (worker != state_.workers.end()) worker->second.drain_announced = false;
  if (state_.holds.count(event.worker) != 0) {
    state_.holds.erase(event.worker);
    HoldFor(event.worker);
    KeepHold(event.worker);
  }
  ReplyTo(call, Done{});
}

void CoreStep::ForgetFailures(const WorkerId& id) {
  const auto worker = state_.workers.find(id);
  if (worker == state_.workers.end()) return;
  worker->second.failures_in_a_row = 0;
  worker->second.failed_tasks.clear();
}

void CoreStep::FireHold(const WorkerId& id) {
  const auto found = state_.holds.find(id);
  if (found == state_.holds.end()) return;
  const WorkerHold& hold = found->second;
  if (hold.record.quarantine == Quarantine::kAutomatic && hold.canary_at <= now_.monotonic) {
    state_.match_wanted = true;
  }
  const auto worker = state_.workers.find(id);
  if (!hold.record.draining || hold.drain_by > now_.monotonic || worker == state_.workers.end()) {
    return;
  }
  for (const auto& [set, leases] : worker->second.sets) {
    for (const LeaseId& lease : leases) {
      Preempt(lease, now_.monotonic + state_.config.preempt_grace);
    }
  }
}

void CoreStep::PlanCanary(const WorkerId& id) {
  WorkerHold& hold = state_.holds.at(id);
  absl::Duration wait = state_.config.canary_after;
  for (int32_t i = 0; i < hold.failed_canaries && wait < state_.config.max_canary_after; ++i) {
    wait *= 2;
  }
  hold.canary_at = now_.monotonic + std::min(wait, state_.config.max_canary_after);
  state_.hold_deadlines.emplace(hold.canary_at.since_start, id);
}

void CoreStep::NoteFailure(const storage::AttemptRecord& attempt, TaskRank rank,
                           absl::string_view message) {
  const auto found = state_.workers.find(attempt.worker);
  if (attempt.failure_class != FailureClass::kInfrastructure || found == state_.workers.end()) {
    return;
  }
  Worker& worker = found->second;
  // The death of one trainer is one failure, however many tasks it ran.
  if (worker.last_failed_set == attempt.lease_set) return;
  worker.last_failed_set = attempt.lease_set;
  ++worker.failures_in_a_row;
  worker.failed_tasks.insert(rank);
  const int32_t limit = state_.config.quarantine_after_failures;
  if (limit == 0) return;
  const bool quarantined = state_.IsQuarantined(attempt.worker);
  if (!quarantined) {
    if (worker.failures_in_a_row < limit ||
        static_cast<int32_t>(worker.failed_tasks.size()) < state_.config.quarantine_after_tasks) {
      return;
    }
    WorkerHold& hold = HoldFor(attempt.worker);
    hold.failed_canaries = 0;
    hold.record.quarantine = Quarantine::kAutomatic;
    hold.record.quarantine_reason =
        absl::StrCat(worker.failures_in_a_row, " infrastructure failures in a row over ",
                     worker.failed_tasks.size(), " tasks; the last: ", message);
    ++effects_.counts.workers_quarantined;
    PlanCanary(attempt.worker);
    return KeepHold(attempt.worker);
  }
  WorkerHold& hold = state_.holds.at(attempt.worker);
  if (hold.record.quarantine != Quarantine::kAutomatic || hold.canary_at > now_.monotonic) return;
  ++hold.failed_canaries;
  PlanCanary(attempt.worker);
}

void CoreStep::NoteSuccess(const WorkerId& id) {
  ForgetFailures(id);
  const auto hold = state_.holds.find(id);
  if (hold == state_.holds.end() || hold->second.record.quarantine != Quarantine::kAutomatic) {
    return;
  }
  hold->second.record.quarantine = Quarantine::kNone;
  hold->second.record.quarantine_reason.clear();
  hold->second.failed_canaries = 0;
  state_.match_wanted = true;
  KeepHold(id);
}

bool CoreStep::IsPoison(const storage::AttemptRecord& attempt, Task& task) const {
  // Which member of a bundle killed the trainer, nobody knows; a gang dies with any of its ranks.
  if (attempt.lease_set_size > 1 || !attempt.gang.empty() ||
      state_.config.poison_after_workers == 0)
    return false;
  if (task.deaths == nullptr) task.deaths = std::make_unique<std::set<WorkerId>>();
  task.deaths->insert(attempt.worker);
  return static_cast<int32_t>(task.deaths->size()) >= state_.config.poison_after_workers;
}

bool CoreStep::IsRepeatedError(const Task& task, const storage::AttemptRecord& attempt) const {
  if (attempt.failure_class != FailureClass::kUser || attempt.message.empty()) return false;
  return std::any_of(task.attempts.begin(), task.attempts.end(), [&](const auto& other) {
    return other.number < attempt.number && other.state == AttemptState::kFailed &&
           other.failure_class == FailureClass::kUser && other.worker != attempt.worker &&
           other.message == attempt.message;
  });
}

}  // namespace distill::server
