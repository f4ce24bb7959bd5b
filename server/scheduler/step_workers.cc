// Workers: who is there, which leases go on, and what each is told to do.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "server/scheduler/core_step.h"

namespace distill::server {

using storage::AttemptState;
using storage::TaskState;

Worker* CoreStep::Hear(const WorkerId& id) {
  const auto found = state_.workers.find(id);
  if (found == state_.workers.end()) return nullptr;
  found->second.last_seen = now_.monotonic;
  found->second.last_seen_wall = now_.wall;
  return &found->second;
}

void CoreStep::On(uint64_t call, RegisterWorker& event) {
  if (event.info.id.empty() || event.info.slots < 1) {
    return Refuse(call, absl::InvalidArgumentError(absl::StrCat(
                            "cannot register worker: it needs an id and at least one slot; worker=",
                            event.info.id.str(), " slots=", event.info.slots)));
  }
  ForgetOldWorkers();
  const WorkerId id = event.info.id;
  Worker& worker = state_.workers[id];
  Hear(id);
  worker.info = std::move(event.info);
  worker.registered = true;
  // An open poll belongs to the worker's life before; whatever it would be granted might be lost.
  if (worker.open_poll != 0) AnswerPoll(worker.open_poll);

  Directives reply;
  std::set<LeaseId> claimed;
  for (const LeaseRef& lease : event.leases) {
    if (Renew(lease, id)) {
      claimed.insert(lease.lease_id);
    } else {
      reply.directives.push_back(Directive{Directive::Kind::kAbandonAttempt, lease});
    }
  }
  std::vector<LeaseId> orphans;
  for (const auto& [set, leases] : worker.sets) {
    for (const LeaseId& lease : leases) {
      if (claimed.count(lease) == 0) orphans.push_back(lease);
    }
  }
  for (const LeaseId& lease : orphans) {
    // One rank of a gang takes the others along.
    if (state_.leases.count(lease) != 0) ExpireLease(lease, "worker came back without it");
  }
  for (Directive& directive : TakeDirectives(id, worker)) {
    reply.directives.push_back(std::move(directive));
  }
  state_.match_wanted = true;
  ReplyTo(call, std::move(reply));
}

void CoreStep::On(uint64_t call, Heartbeat& event) {
  Worker* worker = Hear(event.worker);
  Directives reply;
  for (LeaseProgress& item : event.leases) {
    if (!Renew(item.lease, event.worker)) {
      reply.directives.push_back(
          Directive{Directive::Kind::kAbandonAttempt, std::move(item.lease)});
      continue;
    }
    Lease& lease = state_.leases.at(item.lease.lease_id);
    if (item.started && !lease.started) {
      lease.started = true;
      lease.began_at = now_.monotonic;
      lease.began_step = item.progress.step;
    }
    if (lease.started) lease.release_requested = false;
    NoteContact(lease, item);
    KeepProgress(lease, item.checkpoint);
    effects_.progress.push_back(
        ProgressNews{item.lease.job, item.lease.task, lease.worker, lease.attempt, item.progress});
    const bool moves = NoteProgress(lease, std::move(item.progress));
    NoteStraggler(item.lease.lease_id, lease);
    if (moves) continue;
    ++effects_.counts.attempts_stalled;
    EndLease(item.lease.lease_id, AttemptState::kFailed, storage::FailureClass::kInfrastructure,
             "heartbeats came, but no progress with them");
    reply.directives.push_back(Directive{Directive::Kind::kAbandonAttempt, std::move(item.lease)});
  }
  if (worker == nullptr || !worker->registered) {
    reply.directives.push_back(Directive{Directive::Kind::kRegister, LeaseRef{}});
  }
  if (worker != nullptr) {
    for (Directive& directive : TakeDirectives(event.worker, *worker)) {
      reply.directives.push_back(std::move(directive));
    }
  }
  ReplyTo(call, std::move(reply));
}

bool CoreStep::NoteProgress(Lease& lease, Progress progress) {
  const Progress& last = lease.progress;
  const bool moved = !lease.has_progress || progress.step != last.step ||
                     progress.images_seen != last.images_seen || progress.phase != last.phase;
  const absl::Duration silence = now_.monotonic - lease.moved_at;
  lease.has_progress = true;
  lease.progress = std::move(progress);
  if (moved) {
    lease.usual_silence = lease.usual_silence == absl::ZeroDuration()
                              ? silence
                              : 0.75 * lease.usual_silence + 0.25 * silence;
    lease.moved_at = now_.monotonic;
    return true;
  }
  const absl::Duration limit = state_.config.stall_timeout;
  return !lease.started || limit == absl::ZeroDuration() ||
         silence < std::max(limit, state_.config.stall_factor * lease.usual_silence);
}

bool CoreStep::Renew(const LeaseRef& lease, const WorkerId& worker) {
  const absl::StatusOr<Named> named = Find(lease, worker);
  if (!named.ok()) return false;
  if (named->attempt->state == AttemptState::kExpired) return Revive(*named, worker);
  if (named->attempt->state != AttemptState::kRunning) {
    ++effects_.counts.stale_calls_rejected;
    return false;
  }
  SetDeadline(lease.lease_id, state_.leases.at(lease.lease_id));
  return true;
}

void CoreStep::SetDeadline(const LeaseId& id, Lease& lease) {
  state_.lease_deadlines.erase({lease.deadline.since_start, id});
  lease.deadline = std::min(now_.monotonic + state_.config.lease_duration, lease.preempt_by);
  state_.lease_deadlines.emplace(lease.deadline.since_start, id);
}

bool CoreStep::Revive(const Named& named, const WorkerId& id) {
  Task& task = state_.TaskAt(named.rank);
  storage::AttemptRecord& attempt = *named.attempt;
  const auto worker = state_.workers.find(id);
  const bool in_its_slot =
      worker != state_.workers.end() && worker->second.sets.count(attempt.lease_set) != 0;
  const bool free_slot =
      worker != state_.workers.end() && attempt.worker == id &&
      (in_its_slot || static_cast<int32_t>(worker->second.sets.size()) < worker->second.info.slots);
  // What was preempted is not wanted back, nor what another executes or its job's pause holds.
  const bool held_by_none = task.status.state == TaskState::kQueued &&
                            task.wait != Task::Wait::kFollows && task.wait != Task::Wait::kHeld &&
                            attempt.failure_class != storage::FailureClass::kPreempted;
  const bool admitted =
      state_.QuotaAdmits(state_.JobAt(named.rank).record.project, in_its_slot ? 0 : 1);
  // The other ranks of a gang are gone for good.
  if (!free_slot || !held_by_none || !admitted || !attempt.gang.empty() ||
      attempt.number != task.status.attempts || state_.JobAt(named.rank).stopping()) {
    ++effects_.counts.stale_calls_rejected;
    return false;
  }
  DISTILL_CHECK(IsAllowed(attempt.state, AttemptState::kRunning), "expired attempts may revive");
  if (attempt.charged) {
    --task.status.infrastructure_failures;
    task.failures_in_a_row = std::max(0, task.failures_in_a_row - 1);
  }
  const absl::Duration lost = attempt.lost_time;
  TakeBackLoss(named.rank, attempt);
  Book(named.rank, storage::LedgerEntry::kSpent, -1, absl::ZeroDuration());
  attempt.charged = false;
  attempt.state = AttemptState::kRunning;
  attempt.failure_class = storage::FailureClass::kNone;
  attempt.message.clear();
  attempt.finish_time = storage::kUnsetTime;
  task.status.failure_message.clear();
  Dequeue(named.rank);
  WriteAttempt(attempt);
  Move(named.rank, TaskEvent::kRevived, id);
  AddLease(named.rank, attempt).kept_time -= lost;
  return true;
}

Lease& CoreStep::AddLease(TaskRank rank, const storage::AttemptRecord& attempt) {
  Lease lease;
  lease.task = rank;
  lease.attempt = attempt.number;
  lease.worker = attempt.worker;
  lease.set = attempt.lease_set;
  lease.deadline = now_.monotonic + state_.config.lease_duration;
  state_.lease_deadlines.emplace(lease.deadline.since_start, attempt.lease_id);
  lease.moved_at = now_.monotonic;
  lease.device_time = lease.kept_time = attempt.device_time;
  lease.shared_until = now_.monotonic;
  std::set<LeaseId>& set = state_.workers[attempt.worker].sets[attempt.lease_set];
  state_.CountLease(state_.JobAt(rank), set.empty() ? 1 : 0, 1, now_.monotonic);
  if (!set.empty()) {
    state_.ShareDeviceTime(attempt.worker, attempt.lease_set, now_.monotonic);
  }
  set.insert(attempt.lease_id);
  return state_.leases.emplace(attempt.lease_id, std::move(lease)).first->second;
}

bool CoreStep::HasNews(const WorkerId& id, const Worker& worker) const {
  if (state_.IsDraining(id) && !worker.drain_announced) return true;
  for (const auto& [set, leases] : worker.sets) {
    for (const LeaseId& lease_id : leases) {
      const Lease& lease = state_.leases.at(lease_id);
      if (!lease.stop_announced && state_.JobAt(lease.task).stopping()) return true;
      if (lease.preempt_by < InfiniteFuture() && !lease.preempt_announced) return true;
      if (lease.release_requested && !lease.release_announced) return true;
      const GangView gang = state_.ViewOfGang(lease);
      if (!gang.contacts.empty() && gang.name != lease.gang_view &&
          gang.name != lease.announced_view) {
        return true;
      }
    }
  }
  return false;
}

std::vector<Directive> CoreStep::TakeDirectives(const WorkerId& id, Worker& worker) {
  std::vector<Directive> directives;
  if (state_.IsDraining(id)) {
    directives.push_back(Directive{Directive::Kind::kDrain, LeaseRef{}});
    worker.drain_announced = true;
  }
  for (const auto& [set, leases] : worker.sets) {
    for (const LeaseId& lease_id : leases) {
      Lease& lease = state_.leases.at(lease_id);
      if (state_.JobAt(lease.task).stopping()) {
        directives.push_back(
            Directive{Directive::Kind::kStopAttempt, RefOf(state_, lease_id, lease)});
        lease.stop_announced = true;
      } else if (lease.preempt_by < InfiniteFuture()) {
        directives.push_back(
            Directive{Directive::Kind::kPreemptAttempt, RefOf(state_, lease_id, lease)});
        lease.preempt_announced = true;
      } else if (lease.release_requested) {
        directives.push_back(
            Directive{Directive::Kind::kReleaseIfUnstarted, RefOf(state_, lease_id, lease)});
        lease.release_announced = true;
      } else if (!lease.gang_contact.empty()) {
        GangView gang = state_.ViewOfGang(lease);
        if (gang.contacts.empty() || gang.name == lease.gang_view) continue;
        lease.announced_view = gang.name;
        directives.push_back(Directive{Directive::Kind::kJoinGang, RefOf(state_, lease_id, lease),
                                       std::move(gang.contacts), std::move(gang.name)});
      }
    }
  }
  return directives;
}

void CoreStep::ForgetOldWorkers() {
  for (auto worker = state_.workers.begin(); worker != state_.workers.end();) {
    const bool old = worker->second.sets.empty() && worker->second.open_poll == 0 &&
                     now_.monotonic - worker->second.last_seen >= state_.config.worker_retention;
    worker = old ? state_.workers.erase(worker) : std::next(worker);
  }
}

}  // namespace distill::server
