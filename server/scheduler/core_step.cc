#include "server/scheduler/core_step.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace distill::server {

using storage::JobState;
using storage::TaskState;

Effects CoreStep::Run(Event event) {
  effects_.unlinks = std::exchange(state_.unlinks_due, {});
  FireDeadlines();
  Unblock();
  std::visit([&](auto& body) { On(event.call, body); }, event.body);
  Settle();
  WriteLedger();
  return std::move(effects_);
}

void CoreStep::FireDeadlines() {
  while (!state_.lease_deadlines.empty() &&
         MonotonicTime{state_.lease_deadlines.begin()->first} <= now_.monotonic) {
    const LeaseId id = state_.lease_deadlines.begin()->second;
    if (state_.leases.at(id).preempt_by <= now_.monotonic) {
      EndLease(id, storage::AttemptState::kExpired, storage::FailureClass::kPreempted,
               "preempted, and not handed back in time");
      continue;
    }
    ++effects_.counts.leases_expired;
    ExpireLease(id, "lease expired");
  }
  if (state_.preempt_check <= now_.monotonic) {
    state_.preempt_check = InfiniteFuture();
    state_.match_wanted = true;
  }
  if (state_.gang_check <= now_.monotonic) {
    state_.gang_check = InfiniteFuture();
    state_.match_wanted = true;
  }
  while (!state_.hold_deadlines.empty() &&
         MonotonicTime{state_.hold_deadlines.begin()->first} <= now_.monotonic) {
    const WorkerId worker = state_.hold_deadlines.begin()->second;
    state_.hold_deadlines.erase(state_.hold_deadlines.begin());
    FireHold(worker);
  }
  while (!state_.backoffs.empty() &&
         MonotonicTime{state_.backoffs.begin()->first} <= now_.monotonic) {
    const TaskRank rank = state_.backoffs.begin()->second;
    Dequeue(rank);
    Enqueue(rank, absl::ZeroDuration());
  }
}

void CoreStep::Settle() {
  Unblock();
  if (state_.match_wanted) {
    state_.match_wanted = false;
    Match();
  }
  AnswerReadyPolls();
}

void CoreStep::On(uint64_t call, StoreRows& event) {
  for (storage::Mutation& row : event.rows) effects_.mutations.push_back(std::move(row));
  ReplyTo(call, Done{});
}

void CoreStep::On(uint64_t call, Tick&) { ReplyTo(call, Done{}); }

void CoreStep::ReplyTo(uint64_t call, ReplyBody body) {
  if (call == 0) return;
  effects_.replies.push_back(Reply{call, absl::OkStatus(), std::move(body)});
}

void CoreStep::Refuse(uint64_t call, absl::Status status) {
  if (call == 0) return;
  effects_.replies.push_back(Reply{call, std::move(status), Done{}});
}

storage::EventRecord CoreStep::NewEvent(const Job& job) {
  storage::EventRecord event;
  event.revision = NextRevision();
  event.job = job.record.id;
  event.job_state = job.record.status.state;
  event.time = now_.wall;
  event.counts = job.counts;
  return event;
}

void CoreStep::Move(TaskRank rank, TaskEvent event, const WorkerId& worker) {
  Job& job = state_.JobAt(rank);
  Task& task = state_.TaskAt(rank);
  const TaskState from = task.status.state;
  const std::optional<TaskState> to = NextState(from, event);
  DISTILL_CHECK(to.has_value(), "tasks move along the table in transitions.h");
  task.status.state = *to;
  effects_.transitions.push_back(TaskTransition{from, event, *to});

  job.counts.running +=
      (*to == TaskState::kRunning ? 1 : 0) - (from == TaskState::kRunning ? 1 : 0);
  if (from == TaskState::kSucceeded) --job.counts.succeeded;
  if (*to == TaskState::kSucceeded) {
    ++job.counts.succeeded;
    if (!task.status.reused_from.empty()) ++job.counts.reused;
  }
  const bool was_open = !storage::IsTerminal(from);
  const bool is_open = !storage::IsTerminal(*to);
  job.open_tasks += (is_open ? 1 : 0) - (was_open ? 1 : 0);
  if (!is_open) task.status.finish_time = now_.wall;

  storage::EventRecord record = NewEvent(job);
  task.status.revision = record.revision;
  record.task = task.name;
  record.task_state = *to;
  record.attempt = task.status.attempts;
  record.worker = worker;
  record.reused_from = task.status.reused_from;
  record.message = task.status.failure_message;
  WriteTask(rank);
  effects_.mutations.push_back(storage::AppendEvent{std::move(record)});
}

void CoreStep::MoveJob(Job& job, JobState to) {
  DISTILL_CHECK(IsAllowed(job.record.status.state, to), "jobs move along the table");
  job.record.status.state = to;
  if (storage::IsTerminal(to)) {
    job.record.status.finish_time = now_.wall;
    job.finished = now_.monotonic;
    // Nothing of it will be granted again.
    for (Task& task : job.tasks) task.spec = std::string();
  }
  AppendJobEvent(job);
}

void CoreStep::AppendJobEvent(Job& job) {
  storage::EventRecord record = NewEvent(job);
  record.message = job.record.status.failure_message;
  job.record.status.revision = record.revision;
  effects_.mutations.push_back(storage::UpdateJob{job.record.id, job.record.status});
  effects_.mutations.push_back(storage::AppendEvent{std::move(record)});
}

void CoreStep::WriteTask(TaskRank rank) {
  effects_.mutations.push_back(storage::UpdateTask{state_.IdOf(rank), state_.TaskAt(rank).status});
}

void CoreStep::WriteAttempt(const storage::AttemptRecord& attempt) {
  effects_.mutations.push_back(storage::PutAttempt{attempt});
}

absl::Duration CoreStep::Backoff(int32_t failures) {
  absl::Duration delay = state_.config.retry_backoff;
  for (int32_t i = 1; i < failures && delay < state_.config.max_retry_backoff; ++i) delay *= 2;
  delay = std::min(delay, state_.config.max_retry_backoff);
  // Jitter keeps tasks that failed together from coming back together.
  const uint64_t random = std::strtoull(ids_.RandomHex(4).c_str(), nullptr, 16) & 0xffffffffULL;
  return delay * (0.75 + 0.5 * static_cast<double>(random) / 4294967296.0);
}

}  // namespace distill::server
