// Second attempts of stragglers. A running task that advances at less than half the pace at which
// others of its kind in its job were done may run a second time, on a slot that nobody else wants.
// The first valid result wins; equal keys mean equal bits, so it does not matter whose.
#include <algorithm>
#include <limits>

#include "server/scheduler/core_step.h"
#include "server/scheduler/placement.h"

namespace distill::server {
namespace {

// Steps per second since the trainer began; zero while that cannot be told.
double PaceOf(const Lease& lease, MonotonicTime until) {
  const double seconds = absl::ToDoubleSeconds(until - lease.began_at);
  const auto steps = static_cast<double>(lease.progress.step - lease.began_step);
  return lease.started && seconds > 0 ? std::max(0.0, steps / seconds) : 0;
}

}  // namespace

void CoreStep::NotePaceOfWinner(const Lease& lease) {
  const double pace = PaceOf(lease, lease.moved_at);
  if (pace <= 0) return;
  Job& job = state_.JobAt(lease.task);
  Pace& usual = job.paces[state_.TaskAt(lease.task).kind];
  usual.sum += pace;
  ++usual.count;
}

bool CoreStep::Straggles(const Lease& lease) const {
  const CoreConfig& config = state_.config;
  if (config.speculation_budget <= 0 || !lease.started) return false;
  if (now_.monotonic - lease.began_at < config.speculation_after) return false;
  const Job& job = state_.JobAt(lease.task);
  const Task& task = state_.TaskAt(lease.task);
  const auto usual = job.paces.find(task.kind);
  if (usual == job.paces.end() || usual->second.count < config.speculation_peers) return false;
  const double mean = usual->second.sum / usual->second.count;
  if (PaceOf(lease, now_.monotonic) >= config.straggler_pace * mean) return false;
  // Near its end it is done before another could be.
  const auto left = static_cast<double>(lease.progress.total_steps - lease.progress.step);
  return left / mean > absl::ToDoubleSeconds(config.speculation_after);
}

void CoreStep::NoteStraggler(const LeaseId& id, const Lease& lease) {
  if (!Straggles(lease)) {
    state_.stragglers.erase(id);
  } else if (state_.stragglers.insert(id).second) {
    state_.match_wanted = true;
  }
}

bool CoreStep::MaySpeculate(const Lease& lease, const Poll& poll, const Worker& worker) const {
  const Job& job = state_.JobAt(lease.task);
  const Task& task = state_.TaskAt(lease.task);
  const Requirement& requirement = state_.requirements[static_cast<size_t>(task.requirement)];
  const bool bits_promised =
      !requirement.numeric_class.empty() && requirement.numeric_class != "any";
  return bits_promised && lease.worker != poll.worker && AttemptOf(lease).lease_set_size == 1 &&
         AttemptOf(lease).gang.empty() && lease.preempt_by == InfiniteFuture() && !job.stopping() &&
         !job.paused() && task.blocked_on == 0 && RunningAttempts(task) == 1 &&
         state_.QuotaAdmits(job.record.project, 1) && Fits(requirement, worker.info);
}

bool CoreStep::Speculate(Poll& poll, Worker& worker) {
  if (state_.stragglers.empty()) return false;
  if (static_cast<int32_t>(poll.reply.lease_sets.size()) >= poll.max_lease_sets) return false;
  if (state_.IsQuarantined(poll.worker) || IsWithheld(worker, nullptr)) return false;
  if (state_.OfferedSlots(poll.worker, worker, now_.monotonic) == 0) return false;
  const auto budget =
      std::max<int64_t>(1, static_cast<int64_t>(state_.config.speculation_budget *
                                                static_cast<double>(state_.leases.size())));
  if (state_.speculative_leases >= budget) return false;
  for (const LeaseId& id : state_.stragglers) {
    const Lease& lease = state_.leases.at(id);
    if (!MaySpeculate(lease, poll, worker)) continue;
    ++effects_.counts.attempts_speculated;
    GrantAttempts(poll, worker, {lease.task}, Purpose::kSecondAttempt, GangSeat());
    return true;
  }
  return false;
}

int32_t CoreStep::RunningAttempts(const Task& task) {
  return static_cast<int32_t>(std::count_if(
      task.attempts.begin(), task.attempts.end(),
      [](const auto& attempt) { return attempt.state == storage::AttemptState::kRunning; }));
}

void CoreStep::EndOtherAttempts(TaskRank rank, absl::string_view reason) {
  Task& task = state_.TaskAt(rank);
  for (storage::AttemptRecord& attempt : task.attempts) {
    if (attempt.state != storage::AttemptState::kRunning) continue;
    Ending ending;
    ending.state = storage::AttemptState::kCancelled;
    ending.failure_class = storage::FailureClass::kPreempted;
    ending.message = std::string(reason);
    ending.superseded = true;
    CloseAttempt(Named{rank, &attempt}, std::move(ending));
  }
}

}  // namespace distill::server
