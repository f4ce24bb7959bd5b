// Jobs that people pause, resume and delete.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "server/scheduler/core_step.h"

namespace distill::server {

using storage::JobState;

void CoreStep::On(uint64_t call, PauseJob& event) {
  const char* const action = event.paused ? "pause" : "resume";
  Job* const job = state_.FindJob(event.job);
  if (job == nullptr) {
    return Refuse(call, absl::NotFoundError(absl::StrCat(
                            "cannot ", action, " job: no such job; job=", event.job.str())));
  }
  if (job->stopping()) {
    return Refuse(call, absl::FailedPreconditionError(absl::StrCat(
                            "cannot ", action, " job: it is over or being stopped; job=",
                            event.job.str(), " state=", storage::Name(job->record.status.state))));
  }
  if (event.paused && !job->paused()) Pause(*job);
  if (!event.paused && job->paused()) Resume(*job);
  ReplyTo(call, Done{});
}

void CoreStep::Pause(Job& job) {
  MoveJob(job, JobState::kPaused);
  for (size_t i = 0; i < job.tasks.size(); ++i) {
    const TaskRank rank{job.record.create_revision, static_cast<int32_t>(i)};
    const Task& task = job.tasks[i];
    for (const storage::AttemptRecord& attempt : task.attempts) {
      if (attempt.state != storage::AttemptState::kRunning) continue;
      Preempt(attempt.lease_id, now_.monotonic + state_.config.preempt_grace);
    }
    if (task.wait == Task::Wait::kReady || task.wait == Task::Wait::kBackoff) {
      Dequeue(rank);
      Hold(rank);
    }
  }
}

void CoreStep::Resume(Job& job) {
  MoveJob(job, JobState::kRunning);
  for (size_t i = 0; i < job.tasks.size(); ++i) {
    const TaskRank rank{job.record.create_revision, static_cast<int32_t>(i)};
    Task& task = job.tasks[i];
    if (task.wait == Task::Wait::kHeld) {
      Dequeue(rank);
      Enqueue(rank, absl::ZeroDuration());
    } else if (task.wait == Task::Wait::kFollows) {
      Execution& execution = state_.executions.at(state_.KeyOf(rank));
      if (state_.TaskAt(execution.leader).wait == Task::Wait::kHeld) HandOver(execution, rank);
    }
  }
}

void CoreStep::Hold(TaskRank rank) {
  Task& task = state_.TaskAt(rank);
  DISTILL_CHECK(task.wait == Task::Wait::kNone, "a task waits in one place");
  task.wait = Task::Wait::kHeld;
  if (task.key.empty()) return;
  const auto execution = state_.executions.find(state_.KeyOf(rank));
  if (execution == state_.executions.end() || execution->second.leader != rank) return;
  const absl::btree_set<TaskRank>& followers = execution->second.followers;
  const auto heir = std::find_if(followers.begin(), followers.end(), [&](TaskRank follower) {
    return !state_.JobAt(follower).paused();
  });
  if (heir != followers.end()) HandOver(execution->second, *heir);
}

void CoreStep::HandOver(Execution& execution, TaskRank heir) {
  const TaskRank before = execution.leader;
  Task& old_leader = state_.TaskAt(before);
  Task& new_leader = state_.TaskAt(heir);
  DISTILL_CHECK(old_leader.wait == Task::Wait::kHeld, "only who is held hands over");
  execution.followers.erase(heir);
  execution.followers.insert(before);
  execution.leader = heir;
  old_leader.wait = Task::Wait::kFollows;
  new_leader.wait = Task::Wait::kNone;
  InheritCheckpoint(old_leader, heir);
  Enqueue(heir, absl::ZeroDuration());
}

void CoreStep::InheritCheckpoint(const Task& from, TaskRank heir) {
  storage::TaskStatus& status = state_.TaskAt(heir).status;
  if (!status.checkpoint.digest.empty() || from.status.checkpoint.digest.empty()) return;
  status.checkpoint = from.status.checkpoint;
  WriteTask(heir);
}

void CoreStep::On(uint64_t call, DeleteJob& event) {
  const Job* const job = state_.FindJob(event.job);
  if (job == nullptr) {
    return Refuse(call, absl::NotFoundError(
                            absl::StrCat("cannot delete job: no such job; job=", event.job.str())));
  }
  if (!storage::IsTerminal(job->record.status.state)) {
    return Refuse(call, absl::FailedPreconditionError(absl::StrCat(
                            "cannot delete job: it is not over, cancel it first; job=",
                            event.job.str(), " state=", storage::Name(job->record.status.state))));
  }
  DeleteFinishedJob(job->record.create_revision);
  ReplyTo(call, Done{});
}

}  // namespace distill::server
