// Jobs and the readiness of their tasks: submission, cancellation, release of dependents, and one
// result for each task key of a project.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/error_details.h"
#include "base/error_reasons.h"
#include "base/status_macros.h"
#include "server/scheduler/core_step.h"
#include "server/scheduler/graph_check.h"

namespace distill::server {

using storage::JobState;
using storage::TaskState;

absl::Status CoreStep::CheckJob(const SubmitJob& event) const {
  if (state_.age_of.contains(event.job.id)) {
    return absl::AlreadyExistsError(
        absl::StrCat("cannot submit job: its id is taken; job=", event.job.id.str()));
  }
  const absl::Status graph = CheckGraph(event.job, event.tasks);
  if (!graph.ok()) return graph;
  DISTILL_RETURN_IF_ERROR(CheckDatasets(event.job));
  DISTILL_RETURN_IF_ERROR(CheckGivenBlobs(event));
  return event.allow_unplaceable ? absl::OkStatus() : CheckPlaceable(event);
}

absl::Status CoreStep::CheckGivenBlobs(const SubmitJob& event) const {
  for (const storage::TaskRecord& task : event.tasks) {
    for (const storage::TaskInput& input : task.definition.inputs) {
      if (!input.producer.empty() || state_.IsPresent(input.given)) continue;
      return WithPrecondition(
          WithReason(
              absl::FailedPreconditionError(absl::StrCat(
                  "cannot submit job: a given artifact is not stored, upload it first; task=",
                  task.definition.name, " input=", input.name, " digest=", input.given.str())),
              reason::kBlobMissing),
          reason::kBlobMissing, input.given.str(), "upload it");
    }
  }
  return absl::OkStatus();
}

absl::Status CoreStep::CheckPlaceable(const SubmitJob& event) const {
  std::set<Requirement> looked_at;
  for (const storage::TaskRecord& task : event.tasks) {
    const storage::TaskDefinition& definition = task.definition;
    const Requirement requirement{definition.numeric_class, definition.device_kind,
                                  definition.memory_bytes,  definition.labels,
                                  definition.min_driver,    definition.gang_size};
    if (!looked_at.insert(requirement).second) continue;
    std::string unfit;
    int64_t slots = 0;
    for (const auto& [id, worker] : state_.workers) {
      if (!worker.registered) continue;
      const Unfit why = WhyUnfit(requirement, worker.info);
      if (why.failed == Predicate::kNone) slots += worker.info.slots;
      if (unfit.empty()) unfit = absl::StrCat("worker ", id.str(), " ", why.detail);
    }
    // With no worker to look at, nothing is known to be impossible.
    if (slots >= requirement.gang_size || unfit.empty()) continue;
    if (slots > 0) {
      unfit = absl::StrCat("a gang needs ", requirement.gang_size, " slots at once, all workers ",
                           "that fit have ", slots);
    }
    return absl::FailedPreconditionError(absl::StrCat(
        "cannot submit job: no worker could ever run one of its tasks, change what it demands, "
        "start a worker that fits, or allow a job that waits for one (allow_unplaceable); task=",
        definition.name, " reason=", unfit));
  }
  return absl::OkStatus();
}

void CoreStep::TakeCheckpointsOf(const JobId& retried, Job& job) {
  const Job* const before = state_.FindJob(retried);
  if (before == nullptr || before->record.project != job.record.project) return;
  for (size_t i = 0; i < job.tasks.size(); ++i) {
    Task& task = job.tasks[i];
    const auto same = before->index_of.find(task.name);
    if (task.key.empty() || same == before->index_of.end()) continue;
    const Task& old = before->tasks[static_cast<size_t>(same->second)];
    // A checkpoint may be what made a task fail; of a cancelled one it is good.
    if (old.key != task.key || old.status.state != TaskState::kCancelled) continue;
    if (!Touch(old.status.checkpoint.digest)) continue;
    task.status.checkpoint = old.status.checkpoint;
    WriteTask(TaskRank{job.record.create_revision, static_cast<int32_t>(i)});
  }
}

absl::StatusOr<bool> CoreStep::IsRepeat(const Job& job, const RequestId& request,
                                        const Digest& body) const {
  const auto known = state_.requests.find({job.record.project, request});
  if (request.empty() || known == state_.requests.end()) return false;
  if (known->second == std::make_pair(body, job.record.id)) return true;
  return WithReason(absl::AlreadyExistsError(absl::StrCat(
                        "cannot change job: request_id was used for another request, give a new "
                        "one; request_id=",
                        request.str(), " job=", job.record.id.str())),
                    reason::kRequestIdReused);
}

void CoreStep::Remember(Job& job, const RequestId& request, const Digest& body) {
  if (request.empty()) return;
  job.requests.push_back(request);
  effects_.mutations.push_back(storage::PutRequest{
      storage::RequestRecord{job.record.project, request, body, job.record.id}});
  state_.requests.emplace(std::make_pair(job.record.project, request),
                          std::make_pair(body, job.record.id));
}

absl::Status CoreStep::CheckRevision(const Job& job, int64_t expected_revision) const {
  const int64_t revision = job.record.status.revision;
  if (expected_revision == 0 || expected_revision == revision) return absl::OkStatus();
  return WithReason(
      absl::AbortedError(absl::StrCat(
          "cannot change job: it has changed since it was read, read it again; job=",
          job.record.id.str(), " revision=", revision, " expected_revision=", expected_revision)),
      reason::kEtagMismatch);
}

void CoreStep::On(uint64_t call, SubmitJob& event) {
  if (!event.request_id.empty()) {
    const auto known = state_.requests.find({event.job.project, event.request_id});
    if (known != state_.requests.end()) {
      if (known->second.first == event.body) {
        return ReplyTo(call, SubmitJobReply{known->second.second, /*existed=*/true});
      }
      return Refuse(call,
                    WithReason(absl::AlreadyExistsError(absl::StrCat(
                                   "cannot submit job: request_id was used for another job; "
                                   "request_id=",
                                   event.request_id.str(), " job=", known->second.second.str())),
                               reason::kRequestIdReused));
    }
  }
  absl::Status status = CheckJob(event);
  if (status.ok()) {
    status = CheckQuota(event.job.project);
    effects_.counts.quota_refusals += status.ok() ? 0 : 1;
  }
  if (!status.ok()) return Refuse(call, std::move(status));

  auto owned = std::make_unique<Job>();
  Job& job = *owned;
  job.record = std::move(event.job);
  job.record.status = storage::JobStatus{};
  job.record.create_time = now_.wall;
  job.counts.total = static_cast<int32_t>(event.tasks.size());
  job.open_tasks = job.counts.total;
  storage::EventRecord created = NewEvent(job);
  const int64_t age = created.revision;
  job.record.create_revision = age;
  job.record.status.revision = age;
  effects_.mutations.push_back(storage::InsertJob{job.record});
  effects_.mutations.push_back(storage::AppendEvent{std::move(created)});
  Remember(job, event.request_id, event.body);
  effects_.mutations.reserve(effects_.mutations.size() + 2 * event.tasks.size());
  int32_t index = 0;
  for (storage::TaskRecord& task : event.tasks) {
    task.job = job.record.id;
    task.id = storage::MakeTaskId(task.job, task.definition.name);
    task.definition.index = index++;
    task.status = storage::TaskStatus{};
    storage::EventRecord planned = NewEvent(job);
    planned.task = task.definition.name;
    planned.task_state = TaskState::kBlocked;
    task.status.revision = planned.revision;
    effects_.mutations.push_back(storage::InsertTask{task});
    effects_.mutations.push_back(storage::AppendEvent{std::move(planned)});
  }
  state_.AddTasks(job, std::move(event.tasks));
  for (const Task& task : job.tasks) {
    for (const InputSlot& input : task.inputs) {
      if (input.producer < 0) Touch(input.given);
    }
    if (task.blocked_on == 0) {
      state_.unblocked.push_back(TaskRank{age, static_cast<int32_t>(&task - job.tasks.data())});
    }
  }
  const JobId id = job.record.id;
  state_.age_of.emplace(id, age);
  state_.jobs.emplace(age, std::move(owned));
  if (!event.retry_of.empty()) TakeCheckpointsOf(event.retry_of, job);
  ReplyTo(call, SubmitJobReply{id, /*existed=*/false});
}

void CoreStep::On(uint64_t call, CancelJob& event) {
  Job* job = state_.FindJob(event.job);
  if (job == nullptr) {
    return Refuse(call, absl::NotFoundError(
                            absl::StrCat("cannot cancel job: no such job; job=", event.job.str())));
  }
  const Digest body = Digest::OfBytes(absl::StrCat("cancel ", event.job.str()));
  const absl::StatusOr<bool> repeat = IsRepeat(*job, event.request_id, body);
  if (!repeat.ok()) return Refuse(call, repeat.status());
  if (*repeat) return ReplyTo(call, Done{});
  absl::Status current = CheckRevision(*job, event.expected_revision);
  if (!current.ok()) return Refuse(call, std::move(current));
  if (job->record.status.state == JobState::kRunning || job->paused()) {
    Remember(*job, event.request_id, body);
    MoveJob(*job, JobState::kCancelling);
    StopJob(*job);
    FinishJobIfDone(*job);
  }
  ReplyTo(call, Done{});
}

void CoreStep::On(uint64_t call, AttachJobArtifacts& event) {
  Job* job = state_.FindJob(event.job);
  if (job == nullptr) {
    return Refuse(call, absl::NotFoundError(absl::StrCat(
                            "cannot attach artifacts: no such job; job=", event.job.str())));
  }
  if (!storage::IsTerminal(job->record.status.state)) {
    return Refuse(call, WithReason(absl::FailedPreconditionError(
                                       absl::StrCat("cannot attach artifacts: the job still runs; "
                                                    "job=",
                                                    event.job.str())),
                                   reason::kJobNotFinished));
  }
  for (const storage::NamedBlob& blob : event.artifacts) {
    if (Touch(blob.digest)) continue;
    return Refuse(call, absl::FailedPreconditionError(absl::StrCat(
                            "cannot attach artifacts: blob is not stored; job=", event.job.str(),
                            " digest=", blob.digest.str())));
  }
  std::vector<storage::NamedBlob>& kept = job->record.status.artifacts;
  for (storage::NamedBlob& blob : event.artifacts) {
    const auto same_name = std::find_if(kept.begin(), kept.end(),
                                        [&](const auto& other) { return other.name == blob.name; });
    if (same_name != kept.end()) {
      *same_name = std::move(blob);
    } else {
      kept.push_back(std::move(blob));
    }
  }
  effects_.mutations.push_back(storage::UpdateJob{job->record.id, job->record.status});
  ReplyTo(call, Done{});
}

void CoreStep::Unblock() {
  while (!state_.unblocked.empty()) {
    const TaskRank rank = state_.unblocked.front();
    state_.unblocked.pop_front();
    const Task& task = state_.TaskAt(rank);
    if (task.status.state == TaskState::kBlocked && task.blocked_on == 0) BecomeReady(rank);
  }
}

void CoreStep::BecomeReady(TaskRank rank) {
  Task& task = state_.TaskAt(rank);
  for (const InputSlot& input : task.inputs) {
    if (input.producer >= 0 || Touch(input.given)) continue;
    return FailTask(rank,
                    absl::StrCat("given artifact is no longer stored; input=",
                                 state_.strings.At(input.name), " digest=", input.given.str()));
  }
  if (!task.key.empty()) {
    const auto known = state_.results.find(state_.KeyOf(rank));
    if (known != state_.results.end()) {
      const std::vector<storage::NamedBlob>& outputs = known->second.outputs;
      if (std::all_of(outputs.begin(), outputs.end(),
                      [&](const auto& output) { return Touch(output.digest); })) {
        const storage::ResultRecord result = known->second;
        return SucceedByReuse(rank, result);
      }
      effects_.mutations.push_back(storage::DeleteResult{known->second.project, known->second.key});
      state_.results.erase(known);
    }
  }
  Move(rank, TaskEvent::kInputsReady);
  JoinExecution(rank);
}

void CoreStep::JoinExecution(TaskRank rank) {
  Task& task = state_.TaskAt(rank);
  if (!task.key.empty()) {
    const auto [execution, first] =
        state_.executions.try_emplace(state_.KeyOf(rank), Execution{rank, {}});
    if (!first && execution->second.leader != rank) {
      ++effects_.counts.followers_joined;
      Book(rank, storage::LedgerEntry::kMerged, 1, absl::ZeroDuration());
      execution->second.followers.insert(rank);
      task.wait = Task::Wait::kFollows;
      const bool leader_held = state_.TaskAt(execution->second.leader).wait == Task::Wait::kHeld;
      if (leader_held && !state_.JobAt(rank).paused()) HandOver(execution->second, rank);
      return;
    }
    if (first) {
      ++effects_.counts.results_missed;
      Book(rank, storage::LedgerEntry::kMissed, 1, absl::ZeroDuration());
    }
  }
  Enqueue(rank, absl::ZeroDuration());
}

void CoreStep::LeaveExecution(TaskRank rank) {
  const Task& task = state_.TaskAt(rank);
  if (task.key.empty()) return;
  const auto found = state_.executions.find(state_.KeyOf(rank));
  if (found == state_.executions.end() || found->second.leader != rank) return;
  Execution& execution = found->second;
  if (execution.followers.empty()) {
    state_.executions.erase(found);
    return;
  }
  const TaskRank next = *execution.followers.begin();
  execution.followers.erase(execution.followers.begin());
  execution.leader = next;
  state_.TaskAt(next).wait = Task::Wait::kNone;
  InheritCheckpoint(task, next);
  Enqueue(next, absl::ZeroDuration());
}

void CoreStep::Enqueue(TaskRank rank, absl::Duration delay) {
  Task& task = state_.TaskAt(rank);
  DISTILL_CHECK(task.wait == Task::Wait::kNone, "a task waits in one place");
  if (state_.JobAt(rank).paused()) return Hold(rank);
  if (delay > absl::ZeroDuration()) {
    task.wait = Task::Wait::kBackoff;
    task.not_before = now_.monotonic + delay;
    state_.backoffs.emplace(task.not_before.since_start, rank);
    return;
  }
  state_.PutReady(rank, now_.monotonic);
}

void CoreStep::Dequeue(TaskRank rank) {
  Task& task = state_.TaskAt(rank);
  switch (task.wait) {
    case Task::Wait::kNone:
    case Task::Wait::kHeld:
      break;
    case Task::Wait::kReady:
      state_.ready.Remove(rank, task.place);
      if (state_.reservation.has_value() && state_.reservation->task == rank) {
        state_.reservation.reset();
        state_.match_wanted = true;
      }
      break;
    case Task::Wait::kBackoff:
      state_.backoffs.erase({task.not_before.since_start, rank});
      break;
    case Task::Wait::kFollows:
      state_.executions.at(state_.KeyOf(rank)).followers.erase(rank);
      break;
  }
  task.wait = Task::Wait::kNone;
}

void CoreStep::Succeed(TaskRank rank, TaskEvent event, std::vector<storage::NamedBlob> results) {
  Job& job = state_.JobAt(rank);
  Task& task = state_.TaskAt(rank);
  task.status.results = std::move(results);
  task.status.failure_message.clear();
  Move(rank, event);
  RecordResult(rank);
  for (const int32_t index : task.dependents) {
    Task& dependent = job.tasks[static_cast<size_t>(index)];
    --dependent.blocked_on;
    if (dependent.blocked_on == 0 && dependent.status.state == TaskState::kBlocked) {
      state_.unblocked.push_back(TaskRank{rank.job_age, index});
    }
  }
  if (!task.key.empty()) {
    const auto found = state_.executions.find(state_.KeyOf(rank));
    if (found != state_.executions.end() && found->second.leader == rank) {
      const auto followers = std::move(found->second.followers);
      state_.executions.erase(found);
      const storage::ResultRecord result = ResultOf(rank);
      for (const TaskRank follower : followers) {
        state_.TaskAt(follower).wait = Task::Wait::kNone;
        SucceedByReuse(follower, result);
      }
    }
  }
  FinishJobIfDone(job);
}

void CoreStep::SucceedByReuse(TaskRank rank, const storage::ResultRecord& result) {
  ++effects_.counts.results_reused;
  Task& task = state_.TaskAt(rank);
  task.status.reused_from = result.task;
  task.status.device_time = result.device_time;
  task.status.winner_attempt = 0;
  Book(rank, storage::LedgerEntry::kSaved, 1, result.device_time);
  Succeed(rank, TaskEvent::kReused, result.outputs);
}

storage::ResultRecord CoreStep::ResultOf(TaskRank rank) const {
  const Task& task = state_.TaskAt(rank);
  return storage::ResultRecord{state_.JobAt(rank).record.project,
                               task.key,
                               state_.IdOf(rank),
                               task.status.results,
                               state_.strings.At(task.kind),
                               task.status.device_time,
                               now_.wall};
}

void CoreStep::On(uint64_t call, EvictResult& event) {
  const auto found = state_.results.find(ResultKey(event.project, event.key));
  if (found == state_.results.end()) return ReplyTo(call, EvictResultReply{false});
  const std::vector<JobId> pinned_by = state_.PinnedBy(found->first);
  if (!pinned_by.empty()) {
    absl::Status status = WithReason(
        absl::FailedPreconditionError(absl::StrCat(
            "cannot evict result: a job that is not over uses it, wait for it or cancel it; job=",
            pinned_by.front().str(), " jobs=", pinned_by.size(), " key=", event.key.str())),
        reason::kResultPinned);
    for (const JobId& job : pinned_by) {
      status = WithPrecondition(std::move(status), reason::kResultPinned, job.str(),
                                "wait for it or cancel it");
    }
    return Refuse(call, std::move(status));
  }
  effects_.mutations.push_back(storage::DeleteResult{event.project, event.key});
  state_.results.erase(found);
  ReplyTo(call, EvictResultReply{true});
}

void CoreStep::RecordResult(TaskRank rank) {
  const Task& task = state_.TaskAt(rank);
  if (task.key.empty()) return;
  const ResultKey key = state_.KeyOf(rank);
  const auto known = state_.results.find(key);
  if (known != state_.results.end()) {
    if (known->second.outputs == task.status.results) return;
    // The key says that these had to be the same bits. The first result stays, if it is still
    // there.
    ++effects_.counts.nondeterminism_detected;
    if (state_.IsUsable(known->second)) return;
  }
  storage::ResultRecord result = ResultOf(rank);
  effects_.mutations.push_back(storage::PutResult{result});
  state_.results[key] = std::move(result);
}

void CoreStep::FailTask(TaskRank rank, std::string message) {
  Job& job = state_.JobAt(rank);
  Task& task = state_.TaskAt(rank);
  task.status.failure_message = std::move(message);
  Move(rank, TaskEvent::kBudgetSpent);
  LeaveExecution(rank);
  if (!job.stopping()) {
    job.record.status.failure_message =
        absl::StrCat("task ", task.name, " failed: ", task.status.failure_message);
    AppendJobEvent(job);
    StopJob(job);
  }
  FinishJobIfDone(job);
}

void CoreStep::CancelTask(TaskRank rank) {
  Dequeue(rank);
  Move(rank, TaskEvent::kCancelled);
  LeaveExecution(rank);
}

void CoreStep::StopJob(Job& job) {
  for (size_t i = 0; i < job.tasks.size(); ++i) {
    const TaskRank rank{job.record.create_revision, static_cast<int32_t>(i)};
    const Task& task = job.tasks[i];
    switch (task.status.state) {
      case TaskState::kBlocked:
      case TaskState::kQueued:
        CancelTask(rank);
        break;
      case TaskState::kRunning:
        for (const storage::AttemptRecord& attempt : task.attempts) {
          if (attempt.state == storage::AttemptState::kRunning) notify_.insert(attempt.worker);
        }
        break;
      default:
        break;
    }
  }
}

void CoreStep::FinishJobIfDone(Job& job) {
  if (job.open_tasks > 0 || storage::IsTerminal(job.record.status.state)) return;
  if (job.record.status.state == JobState::kCancelling) {
    MoveJob(job, JobState::kCancelled);
  } else if (!job.record.status.failure_message.empty()) {
    MoveJob(job, JobState::kFailed);
  } else {
    MoveJob(job, JobState::kSucceeded);
  }
}

}  // namespace distill::server
