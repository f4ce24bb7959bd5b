// How attempts end: results published exactly once, failures charged to the right budget, leases
// handed back or expired.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "base/error_details.h"
#include "base/error_reasons.h"
#include "base/status_macros.h"
#include "server/scheduler/core_step.h"

namespace distill::server {

using storage::AttemptState;
using storage::FailureClass;
using storage::NamedBlob;
using storage::TaskState;

namespace {

std::string Where(const LeaseRef& lease) {
  return absl::StrCat("task=", lease.job.str(), "/", lease.task, " attempt=", lease.attempt_number);
}

std::vector<NamedBlob> SortedByName(std::vector<NamedBlob> blobs) {
  std::sort(blobs.begin(), blobs.end(),
            [](const NamedBlob& a, const NamedBlob& b) { return a.name < b.name; });
  return blobs;
}

// Sizes are what the store knows, not what a caller says.
bool SameDigests(const std::vector<NamedBlob>& a, const std::vector<NamedBlob>& b) {
  const std::vector<NamedBlob> left = SortedByName(a);
  const std::vector<NamedBlob> right = SortedByName(b);
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](const NamedBlob& x, const NamedBlob& y) {
                      return x.name == y.name && x.digest == y.digest;
                    });
}

}  // namespace

absl::StatusOr<CoreStep::Named> CoreStep::Find(const LeaseRef& lease, const WorkerId& worker) {
  Job* job = state_.FindJob(lease.job);
  if (job == nullptr) {
    return absl::NotFoundError(absl::StrCat("cannot find task: no such job; ", Where(lease)));
  }
  const auto index = job->index_of.find(lease.task);
  if (index == job->index_of.end()) {
    return absl::NotFoundError(absl::StrCat("cannot find task: no such task; ", Where(lease)));
  }
  Task& task = job->tasks[static_cast<size_t>(index->second)];
  const int32_t number = lease.attempt_number;
  if (number < 1 || number > static_cast<int32_t>(task.attempts.size()) ||
      task.attempts[static_cast<size_t>(number - 1)].lease_id != lease.lease_id) {
    ++effects_.counts.stale_calls_rejected;
    return WithReason(absl::FailedPreconditionError(absl::StrCat(
                          "cannot use lease: lease lost, it was never granted; ", Where(lease))),
                      reason::kLeaseLost);
  }
  storage::AttemptRecord& attempt = task.attempts[static_cast<size_t>(number - 1)];
  if (attempt.worker != worker) {
    ++effects_.counts.stale_calls_rejected;
    return WithReason(absl::FailedPreconditionError(absl::StrCat(
                          "cannot use lease: lease lost, it was granted to another worker; ",
                          Where(lease), " worker=", worker.str())),
                      reason::kLeaseLost);
  }
  return Named{TaskRank{job->record.create_revision, index->second}, &attempt};
}

absl::Status CoreStep::LeaseLost(const Named& named, absl::string_view action) {
  ++effects_.counts.stale_calls_rejected;
  const Task& task = state_.TaskAt(named.rank);
  std::string cause = absl::StrCat("the attempt is ", storage::Name(named.attempt->state));
  if (task.status.attempts > named.attempt->number) {
    absl::StrAppend(&cause, ", superseded by attempt ", task.status.attempts);
  }
  return WithReason(
      absl::FailedPreconditionError(absl::StrCat(
          "cannot ", action, ": lease lost, ", cause, "; task=", state_.IdOf(named.rank).str(),
          " attempt=", named.attempt->number, " task_state=", storage::Name(task.status.state))),
      reason::kLeaseLost);
}

void CoreStep::On(uint64_t call, CompleteAttempts& event) {
  Hear(event.worker);
  ItemStatuses reply;
  for (CompleteAttempts::Item& item : event.items)
    reply.statuses.push_back(Complete(event.worker, item));
  ReplyTo(call, std::move(reply));
}

void CoreStep::On(uint64_t call, FailAttempts& event) {
  Hear(event.worker);
  ItemStatuses reply;
  for (FailAttempts::Item& item : event.items) reply.statuses.push_back(Fail(event.worker, item));
  ReplyTo(call, std::move(reply));
}

void CoreStep::On(uint64_t call, ReleaseLeases& event) {
  Hear(event.worker);
  ItemStatuses reply;
  for (ReleaseLeases::Item& item : event.items)
    reply.statuses.push_back(Release(event.worker, item));
  ReplyTo(call, std::move(reply));
}

absl::Status CoreStep::CheckResults(const Task& task, const std::vector<NamedBlob>& results) const {
  std::vector<std::string> wanted;
  for (const int32_t output : task.outputs) wanted.push_back(state_.strings.At(output));
  std::vector<std::string> given;
  for (const NamedBlob& result : results) given.push_back(result.name);
  std::sort(wanted.begin(), wanted.end());
  std::sort(given.begin(), given.end());
  if (wanted != given) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot complete attempt: results are not the outputs of the task; task=", task.name,
        " want=", absl::StrJoin(wanted, ","), " got=", absl::StrJoin(given, ",")));
  }
  std::vector<std::string> missing;
  for (const NamedBlob& result : results) {
    if (!state_.IsPresent(result.digest)) missing.push_back(result.digest.str());
  }
  if (!missing.empty()) {
    absl::Status status = absl::FailedPreconditionError(absl::StrCat(
        "cannot complete attempt: blobs are not uploaded, upload them and repeat; task=", task.name,
        " missing=", absl::StrJoin(missing, ",")));
    for (const std::string& digest : missing) {
      status = WithPrecondition(std::move(status), reason::kBlobMissing, digest, "upload it");
    }
    return WithReason(std::move(status), reason::kBlobMissing);
  }
  return absl::OkStatus();
}

absl::Status CoreStep::RejectRepeat(const Named& named, const std::vector<NamedBlob>& results) {
  const Task& task = state_.TaskAt(named.rank);
  const bool same = SameDigests(task.status.results, results);
  const bool same_attempt = task.status.winner_attempt == named.attempt->number;
  if (same && same_attempt) return absl::OkStatus();
  if (same) return LeaseLost(named, "complete attempt");
  ++effects_.counts.nondeterminism_detected;
  return WithReason(
      absl::AbortedError(absl::StrCat(
          "cannot complete attempt: the digests differ from those already published; task=",
          state_.IdOf(named.rank).str(), " attempt=", named.attempt->number,
          " winner=", task.status.winner_attempt)),
      reason::kResultDiffers);
}

absl::Status CoreStep::Complete(const WorkerId& worker, CompleteAttempts::Item& item) {
  DISTILL_ASSIGN_OR_RETURN(const Named named, Find(item.lease, worker));
  if (named.attempt->gang_rank > 0) return CompleteRank(named, item);
  const TaskRank rank = named.rank;
  Task& task = state_.TaskAt(rank);
  storage::AttemptRecord& attempt = *named.attempt;
  const bool running = attempt.state == AttemptState::kRunning;
  // Late, but nobody else holds the task: the work need not be done again.
  const bool salvaged = attempt.state == AttemptState::kExpired &&
                        task.status.state == TaskState::kQueued && !state_.JobAt(rank).stopping();
  if (!running && !salvaged) {
    const bool published =
        task.status.state == TaskState::kSucceeded &&
        (attempt.state == AttemptState::kSucceeded || attempt.state == AttemptState::kExpired);
    return published ? RejectRepeat(named, item.results) : LeaseLost(named, "complete attempt");
  }
  DISTILL_RETURN_IF_ERROR(CheckResults(task, item.results));
  for (NamedBlob& result : item.results) {
    Touch(result.digest);
    result.size_bytes = state_.blobs.at(result.digest).record.size_bytes;
  }
  if (salvaged) {
    ++effects_.counts.attempts_salvaged;
    if (attempt.charged) --task.status.infrastructure_failures;
    TakeBackLoss(rank, attempt);
    Dequeue(rank);
  }
  attempt.charged = false;
  Ending ending;
  ending.state = AttemptState::kSucceeded;
  ending.observations = PresentOnly(std::move(item.observations));
  ending.stats = std::move(item.stats);
  task.status.winner_attempt = attempt.number;
  task.status.observations = ending.observations;
  if (running) NotePaceOfWinner(state_.leases.at(attempt.lease_id));
  CloseAttempt(named, std::move(ending));
  if (running && !attempt.gang.empty()) {
    EndRanks(rank, AttemptState::kSucceeded, "its gang is done");
  }
  EndOtherAttempts(rank, "another attempt was first");
  NoteSuccess(attempt.worker);
  task.status.device_time = KeptTime(task);

  std::vector<Digest> inputs;
  for (const ResolvedInput& input : ResolveInputs(rank)) inputs.push_back(input.digest);
  const TaskId id = state_.IdOf(rank);
  for (const NamedBlob& result : item.results) {
    effects_.mutations.push_back(storage::PutLineage{
        storage::LineageRecord{result.digest, id, attempt.number, result.name, inputs}});
  }
  Succeed(rank, salvaged ? TaskEvent::kSalvaged : TaskEvent::kCompleted, std::move(item.results));
  return absl::OkStatus();
}

absl::Status CoreStep::Fail(const WorkerId& worker, FailAttempts::Item& item) {
  DISTILL_ASSIGN_OR_RETURN(const Named named, Find(item.lease, worker));
  storage::AttemptRecord& attempt = *named.attempt;
  if (attempt.state == AttemptState::kFailed) return absl::OkStatus();
  if (attempt.state != AttemptState::kRunning) {
    NoteLateDeath(named, item);
    return LeaseLost(named, "fail attempt");
  }
  if (item.failure_class == FailureClass::kNone) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot fail attempt: failure_class is not set; ", Where(item.lease)));
  }
  Ending ending;
  ending.failure_class = item.failure_class;
  ending.message = std::move(item.message);
  ending.observations = PresentOnly(std::move(item.observations));
  ending.stats = std::move(item.stats);
  attempt.failure_class = item.failure_class;
  if (!item.lost_gang) JudgeFailure(named, item.trainer_died, ending);
  if (!state_.JobAt(named.rank).stopping()) Charge(state_.TaskAt(named.rank), attempt);
  CloseAttempt(named, std::move(ending));
  AfterAttempt(named.rank, attempt);
  return absl::OkStatus();
}

void CoreStep::JudgeFailure(const Named& named, bool trainer_died, Ending& ending) {
  storage::AttemptRecord& attempt = *named.attempt;
  Task& task = state_.TaskAt(named.rank);
  // An input that was lost is nobody's fault here.
  if (attempt.failure_class != FailureClass::kInfrastructure || task.blocked_on > 0) return;
  NoteFailure(attempt, named.rank, ending.message);
  if (!trainer_died || !IsPoison(attempt, task)) return;
  ending.message = absl::StrCat("killed the trainers of ", task.deaths->size(),
                                " workers; the last: ", ending.message);
  attempt.failure_class = ending.failure_class = FailureClass::kPoison;
}

absl::Status CoreStep::Release(const WorkerId& worker, ReleaseLeases::Item& item) {
  DISTILL_ASSIGN_OR_RETURN(const Named named, Find(item.lease, worker));
  storage::AttemptRecord& attempt = *named.attempt;
  if (attempt.state == AttemptState::kReleased || attempt.state == AttemptState::kCancelled) {
    return absl::OkStatus();
  }
  if (attempt.state != AttemptState::kRunning) return LeaseLost(named, "release lease");
  KeepProgress(state_.leases.at(attempt.lease_id), item.checkpoint);
  Ending ending;
  ending.state =
      state_.JobAt(named.rank).stopping() ? AttemptState::kCancelled : AttemptState::kReleased;
  ending.failure_class = FailureClass::kPreempted;
  ending.message = std::move(item.reason);
  ending.observations = PresentOnly(std::move(item.observations));
  ending.stats = std::move(item.stats);
  if (attempt.gang_rank > 0 && ending.state == AttemptState::kReleased) {
    ReleaseRank(named, std::move(ending));
    return absl::OkStatus();
  }
  CloseAttempt(named, std::move(ending));
  AfterAttempt(named.rank, attempt);
  return absl::OkStatus();
}

void CoreStep::ExpireLease(const LeaseId& id, absl::string_view reason) {
  EndLease(id, AttemptState::kExpired, FailureClass::kInfrastructure, reason);
}

void CoreStep::EndLease(const LeaseId& id, AttemptState state, FailureClass cause,
                        absl::string_view reason) {
  const Lease& lease = state_.leases.at(id);
  const TaskRank rank = lease.task;
  Task& task = state_.TaskAt(rank);
  const Named named{rank, &task.attempts[static_cast<size_t>(lease.attempt - 1)]};
  Ending ending;
  ending.state = state;
  ending.failure_class = cause;
  ending.message = std::string(reason);
  named.attempt->failure_class = cause;
  if (!state_.JobAt(rank).stopping()) Charge(task, *named.attempt);
  CloseAttempt(named, std::move(ending));
  AfterAttempt(rank, *named.attempt);
}

void CoreStep::CloseAttempt(const Named& named, Ending ending) {
  storage::AttemptRecord& attempt = *named.attempt;
  DISTILL_CHECK(IsAllowed(attempt.state, ending.state), "attempts move along the table");
  const bool had_lease = attempt.state == AttemptState::kRunning;
  attempt.state = ending.state;
  attempt.failure_class = ending.failure_class;
  attempt.message = std::move(ending.message);
  attempt.observations = std::move(ending.observations);
  attempt.stats = std::move(ending.stats);
  attempt.finish_time = now_.wall;
  if (had_lease) BookAttempt(named, ending.superseded);
  WriteAttempt(attempt);
  effects_.attempts_ended.push_back(AttemptEnd{state_.strings.At(state_.TaskAt(named.rank).kind),
                                               attempt.state, attempt.failure_class,
                                               now_.wall - attempt.start_time});
  if (had_lease) DropLease(attempt.lease_id);
}

void CoreStep::DropLease(const LeaseId& id) {
  const auto found = state_.leases.find(id);
  DISTILL_CHECK(found != state_.leases.end(), "running attempts hold a lease");
  const Lease& lease = found->second;
  state_.lease_deadlines.erase({lease.deadline.since_start, id});
  state_.stragglers.erase(id);
  state_.speculative_leases -= lease.speculative ? 1 : 0;
  state_.ShareDeviceTime(lease.worker, lease.set, now_.monotonic);
  Worker& worker = state_.workers.at(lease.worker);
  const auto set = worker.sets.find(lease.set);
  set->second.erase(id);
  const bool frees_slot = set->second.empty();
  if (frees_slot) worker.sets.erase(set);
  state_.CountLease(state_.JobAt(lease.task), frees_slot ? -1 : 0, -1, now_.monotonic);
  // A free slot, or room in a quota.
  state_.match_wanted = true;
  state_.leases.erase(found);
}

void CoreStep::Charge(Task& task, storage::AttemptRecord& attempt) {
  const bool in_bundle = attempt.lease_set_size > 1;
  attempt.charged = true;
  switch (attempt.failure_class) {
    case FailureClass::kUser:
      ++task.status.user_failures;
      return;
    case FailureClass::kPoison:
      ++task.status.poison_failures;
      return;
    case FailureClass::kInfrastructure:
    case FailureClass::kResource:
      // Which member killed the trainer, nobody knows: each is tried alone before it is blamed.
      if (in_bundle) {
        task.status.solo = true;
        break;
      }
      ++(attempt.failure_class == FailureClass::kResource ? task.status.resource_failures
                                                          : task.status.infrastructure_failures);
      return;
    case FailureClass::kPreempted:
    case FailureClass::kNone:
      break;
  }
  attempt.charged = false;
}

bool CoreStep::BudgetSpent(const Job& job, const Task& task, FailureClass failure_class) const {
  switch (failure_class) {
    case FailureClass::kUser:
      return task.status.user_failures >= job.record.limits.max_user_failures;
    case FailureClass::kInfrastructure:
      return task.status.infrastructure_failures >= job.record.limits.max_infrastructure_failures;
    case FailureClass::kResource:
      return task.status.resource_failures >= state_.config.max_resource_failures;
    case FailureClass::kPoison:
      return task.status.poison_failures >= state_.config.max_poison_failures;
    case FailureClass::kPreempted:
    case FailureClass::kNone:
      return false;
  }
  return false;
}

void CoreStep::AfterAttempt(TaskRank rank, storage::AttemptRecord& attempt) {
  Job& job = state_.JobAt(rank);
  Task& task = state_.TaskAt(rank);
  if (!attempt.gang.empty() && !job.stopping()) {
    EndRanks(rank, AttemptState::kCancelled, "another rank of its gang has ended");
  }
  const bool another_runs = RunningAttempts(task) > 0;
  if (job.stopping()) {
    if (another_runs) return;
    CancelTask(rank);
    return FinishJobIfDone(job);
  }
  const FailureClass cause = attempt.failure_class;
  const bool repeated =
      attempt.charged && attempt.state == AttemptState::kFailed && IsRepeatedError(task, attempt);
  const bool spent = attempt.charged && BudgetSpent(job, task, cause);
  if (another_runs) {
    // The task goes on as it was, unless this was its last word.
    if (!repeated && !spent) return WriteTask(rank);
    EndOtherAttempts(rank, "the task has failed for good");
  }
  if (repeated) {
    return FailTask(rank, absl::StrCat(attempt.message, " (attempt ", attempt.number,
                                       ", the same error on another worker)"));
  }
  if (spent) {
    return FailTask(rank, absl::StrCat(attempt.message, " (attempt ", attempt.number, ", ",
                                       storage::Name(cause), ", no retries left)"));
  }
  task.status.failure_message = cause == FailureClass::kPreempted ? "" : attempt.message;
  if (task.blocked_on > 0) {
    Move(rank, TaskEvent::kInputLost);
    return LeaveExecution(rank);
  }
  Move(rank, TaskEvent::kAttemptEnded);
  // A task that gets on starts over at the shortest pause.
  if (attempt.charged) ++task.failures_in_a_row;
  Enqueue(rank, attempt.charged ? Backoff(task.failures_in_a_row) : absl::ZeroDuration());
}

bool CoreStep::TakeCheckpoint(TaskRank rank, const storage::Checkpoint& checkpoint) {
  storage::TaskStatus& status = state_.TaskAt(rank).status;
  if (checkpoint.digest.empty() || checkpoint.step <= status.checkpoint.step) return false;
  if (!Touch(checkpoint.digest)) return false;
  Task& task = state_.TaskAt(rank);
  task.failures_in_a_row = 0;
  task.deaths = nullptr;
  status.previous_checkpoint = std::move(status.checkpoint);
  status.checkpoint = checkpoint;
  status.checkpoint.size_bytes = state_.blobs.at(checkpoint.digest).record.size_bytes;
  WriteTask(rank);
  return true;
}

void CoreStep::KeepProgress(Lease& lease, const storage::Checkpoint& checkpoint) {
  if (!TakeCheckpoint(lease.task, checkpoint)) return;
  // The checkpoint of a gang's first rank is that of all.
  for (const LeaseId& id : state_.GangOf(lease)) {
    Lease& member = state_.leases.at(id);
    state_.ShareDeviceTime(member.worker, member.set, now_.monotonic);
    member.kept_time = member.device_time;
  }
}

std::vector<NamedBlob> CoreStep::PresentOnly(std::vector<NamedBlob> blobs) {
  std::vector<NamedBlob> present;
  for (NamedBlob& blob : blobs) {
    if (!Touch(blob.digest)) continue;
    blob.size_bytes = state_.blobs.at(blob.digest).record.size_bytes;
    present.push_back(std::move(blob));
  }
  return present;
}

}  // namespace distill::server
