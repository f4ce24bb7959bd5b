// One step of the core: the state that it changes, the moment, the ids, and the effects so far.
// Internal to server/scheduler; its methods are grouped by the file that holds them.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/random_ids.h"
#include "server/scheduler/core_state.h"
#include "server/scheduler/effects.h"
#include "server/scheduler/transitions.h"

namespace distill::server {

class CoreStep {
 public:
  CoreStep(Core::State& state, const Instant& now, IdSource& ids)
      : state_(state), now_(now), ids_(ids) {}

  // Due deadlines first, then the event, then all that follows from both.
  Effects Run(Event event);

 private:
  // How an attempt ends.
  struct Ending {
    storage::AttemptState state = storage::AttemptState::kFailed;
    storage::FailureClass failure_class = storage::FailureClass::kNone;
    std::string message;
    std::vector<storage::NamedBlob> observations;
    std::string stats;
    bool superseded = false;  // Another attempt was first.
  };
  // What a fencing pair turned out to name.
  struct Named {
    TaskRank rank;
    storage::AttemptRecord* attempt = nullptr;
  };

  // core_step.cc: dispatch, time, and the few ways in which anything changes.
  void FireDeadlines();
  void Settle();
  void ReplyTo(uint64_t call, ReplyBody body);
  void Refuse(uint64_t call, absl::Status status);
  int64_t NextRevision() { return ++state_.last_revision; }
  // Moves a task through the table, writes the row and the event. `worker` while it runs.
  void Move(TaskRank rank, TaskEvent event, const WorkerId& worker = WorkerId());
  void MoveJob(Job& job, storage::JobState to);
  void WriteTask(TaskRank rank);
  void WriteAttempt(const storage::AttemptRecord& attempt);
  void AppendJobEvent(Job& job);
  absl::Duration Backoff(int32_t failures);
  storage::EventRecord NewEvent(const Job& job);

  // step_jobs.cc: jobs, readiness, reuse of results.
  void On(uint64_t call, SubmitJob& event);
  void On(uint64_t call, CancelJob& event);
  void On(uint64_t call, AttachJobArtifacts& event);
  absl::Status CheckJob(const SubmitJob& event) const;
  absl::Status CheckGivenBlobs(const SubmitJob& event) const;
  // Refuses what no worker that is known could ever run.
  absl::Status CheckPlaceable(const SubmitJob& event) const;
  // Lends the tasks of `job` the checkpoints of the cancelled ones of the job that it retries.
  void TakeCheckpointsOf(const JobId& retried, Job& job);
  // Whether the request was carried out before; kAlreadyExists when it asked for something else.
  absl::StatusOr<bool> IsRepeat(const Job& job, const RequestId& request, const Digest& body) const;
  // Lets later repeats of the request be recognised, for as long as the job is kept.
  void Remember(Job& job, const RequestId& request, const Digest& body);
  absl::Status CheckRevision(const Job& job, int64_t expected_revision) const;
  void Unblock();
  void BecomeReady(TaskRank rank);
  void Enqueue(TaskRank rank, absl::Duration delay);
  // Takes a QUEUED task out of whatever it waits in.
  void Dequeue(TaskRank rank);
  void JoinExecution(TaskRank rank);
  // The task no longer executes its key; a follower takes over.
  void LeaveExecution(TaskRank rank);
  void Succeed(TaskRank rank, TaskEvent event, std::vector<storage::NamedBlob> results);
  void SucceedByReuse(TaskRank rank, const storage::ResultRecord& result);
  storage::ResultRecord ResultOf(TaskRank rank) const;
  void RecordResult(TaskRank rank);
  void On(uint64_t call, EvictResult& event);
  void FailTask(TaskRank rank, std::string message);
  void CancelTask(TaskRank rank);
  // Cancels what does not run; leases get kStopAttempt.
  void StopJob(Job& job);
  void FinishJobIfDone(Job& job);

  // step_control.cc: pausing, resuming and deleting jobs.
  void On(uint64_t call, PauseJob& event);
  void On(uint64_t call, DeleteJob& event);
  void Pause(Job& job);
  void Resume(Job& job);
  // Of a task whose job is paused: an equal task of a job that goes on takes its place, or it is
  // held.
  void Hold(TaskRank rank);
  // `heir` executes the key from now on and `leader` follows it.
  void HandOver(Execution& execution, TaskRank heir);
  // Equal keys mean equal bits, so the heir goes on where the other stopped.
  void InheritCheckpoint(const Task& from, TaskRank heir);

  // step_preempt.cc: leases that are wanted back.
  // Wants the lease, and those of its gang, back with a checkpoint, by `deadline` at the latest.
  void Preempt(const LeaseId& id, MonotonicTime deadline);
  void PreemptForPriority();
  // Preempts the best of the lease sets of at most this priority, if there is one.
  void PreemptFor(Lane& lane, const Requirement& requirement, int32_t highest);

  // step_speculate.cc: second attempts of stragglers.
  void NotePaceOfWinner(const Lease& lease);
  bool Straggles(const Lease& lease) const;
  void NoteStraggler(const LeaseId& id, const Lease& lease);
  bool MaySpeculate(const Lease& lease, const Poll& poll, const Worker& worker) const;
  // Gives the free slot a second attempt, if there is one to make.
  bool Speculate(Poll& poll, Worker& worker);
  static int32_t RunningAttempts(const Task& task);
  const storage::AttemptRecord& AttemptOf(const Lease& lease) const {
    return state_.AttemptOf(lease);
  }
  void EndOtherAttempts(TaskRank rank, absl::string_view reason);

  // step_gangs.cc: tasks that several trainers share.
  // A rank of a gang that is about to start.
  struct GangSeat {
    std::string gang;
    int32_t rank = 0;
    int32_t size = 1;
  };
  // Starts the gangs for which enough slots are free, and keeps slots for the first of the others.
  void MatchGangs();
  bool StartFirstGang();
  // The gangs at the head of their lanes, in the order of their turns.
  std::vector<ReadyQueue::Entry> GangsInTurn() const;
  LaneView ViewOf(const ReadyQueue::Entry& head) const;
  // The polls that offer slots to the gang, each as often as it offers one.
  std::vector<uint64_t> OffersFor(const ReadyQueue::Entry& gang) const;
  // Whether a single task that could take one of the offers goes before the gang.
  bool IsPreceded(const ReadyQueue::Entry& gang, const std::vector<uint64_t>& offers) const;
  bool StartGang(const ReadyQueue::Entry& gang);
  // Whether there are, free or not, as many slots as the gang needs.
  bool MayStartLater(const ReadyQueue::Entry& gang) const;
  void RenewReservation();
  // Whether a task with this view may not take a free slot of this worker.
  bool IsWithheld(const Worker& worker, const LaneView* view) const;
  void NoteContact(Lease& lease, LeaseProgress& item);
  // What other than the first rank says of its end.
  absl::Status CompleteRank(const Named& named, CompleteAttempts::Item& item);
  void ReleaseRank(const Named& named, Ending ending);
  // Ends the ranks that still run: the first has succeeded, resp. one has failed.
  void EndRanks(TaskRank rank, storage::AttemptState state, absl::string_view reason);
  void NoteLateDeath(const Named& named, const FailAttempts::Item& item);

  // step_health.cc: drains and quarantines; what failures say about a worker, and about a task.
  void On(uint64_t call, DrainWorker& event);
  void On(uint64_t call, QuarantineWorker& event);
  void On(uint64_t call, ReleaseWorker& event);
  // kNotFound for a worker never heard of.
  absl::Status CheckKnown(const WorkerId& worker, absl::string_view action) const;
  void ForgetFailures(const WorkerId& worker);
  WorkerHold& HoldFor(const WorkerId& worker);
  // Writes the hold down, and forgets it when it holds nothing.
  void KeepHold(const WorkerId& worker);
  void FireHold(const WorkerId& worker);
  void NoteFailure(const storage::AttemptRecord& attempt, TaskRank rank, absl::string_view message);
  void NoteSuccess(const WorkerId& worker);
  void PlanCanary(const WorkerId& worker);
  // Whether this death of a trainer, of many, shows that the task is what kills them.
  bool IsPoison(const storage::AttemptRecord& attempt, Task& task) const;
  // Whether another worker has failed with the same words: no retry will help.
  bool IsRepeatedError(const Task& task, const storage::AttemptRecord& attempt) const;

  // step_quota.cc: quotas of projects.
  void On(uint64_t call, SetQuota& event);
  void On(uint64_t call, DeleteQuota& event);
  // kResourceExhausted when the project may not submit now.
  absl::Status CheckQuota(const ProjectId& project);
  int64_t HeldBytes(const ProjectId& project) const;

  // step_leases.cc: how attempts end.
  void On(uint64_t call, CompleteAttempts& event);
  void On(uint64_t call, FailAttempts& event);
  void On(uint64_t call, ReleaseLeases& event);
  absl::Status Complete(const WorkerId& worker, CompleteAttempts::Item& item);
  absl::Status Fail(const WorkerId& worker, FailAttempts::Item& item);
  absl::Status Release(const WorkerId& worker, ReleaseLeases::Item& item);
  absl::Status CheckResults(const Task& task, const std::vector<storage::NamedBlob>& results) const;
  absl::Status RejectRepeat(const Named& named, const std::vector<storage::NamedBlob>& results);
  absl::StatusOr<Named> Find(const LeaseRef& lease, const WorkerId& worker);
  absl::Status LeaseLost(const Named& named, absl::string_view action);
  // Closes a running attempt in the server's own right; its worker learns of it.
  void EndLease(const LeaseId& id, storage::AttemptState state, storage::FailureClass cause,
                absl::string_view reason);
  void ExpireLease(const LeaseId& id, absl::string_view reason);
  // Closes the attempt and its lease, if it has one; does not touch the task.
  void CloseAttempt(const Named& named, Ending ending);
  void DropLease(const LeaseId& id);
  // Charges the failure, then queues the task again, fails it, or lets its job end.
  void AfterAttempt(TaskRank rank, storage::AttemptRecord& attempt);
  // What a failure that was reported says about the worker and about the task; may call the task
  // poison.
  void JudgeFailure(const Named& named, bool trainer_died, Ending& ending);
  void Charge(Task& task, storage::AttemptRecord& attempt);
  bool BudgetSpent(const Job& job, const Task& task, storage::FailureClass failure_class) const;
  // Whether the task keeps it: it is newer than the one it has, and there.
  bool TakeCheckpoint(TaskRank rank, const storage::Checkpoint& checkpoint);
  // The same for a lease, of which the time so far is kept with it.
  void KeepProgress(Lease& lease, const storage::Checkpoint& checkpoint);
  std::vector<storage::NamedBlob> PresentOnly(std::vector<storage::NamedBlob> blobs);

  // step_ledger.cc: what device time went into.
  // Adds to the lines of the task's job and project.
  void Book(TaskRank rank, storage::LedgerEntry entry, int64_t count, absl::Duration time);
  // Books the time of an attempt that ends with its lease, and sets what its record says of it.
  void BookAttempt(const Named& named, bool superseded);
  // What was given up for lost is of use after all.
  void TakeBackLoss(TaskRank rank, storage::AttemptRecord& attempt);
  // Of the task's attempts, what is in its result.
  static absl::Duration KeptTime(const Task& task);
  void BookLostResult(TaskRank rank);
  // Writes the lines that have changed in this step.
  void WriteLedger();
  void WriteLine(const ProjectId& project, const JobId& job,
                 const std::pair<int32_t, storage::LedgerEntry>& account, const LedgerLine& line);

  // step_workers.cc: registration, heartbeats, directives.
  void On(uint64_t call, RegisterWorker& event);
  void On(uint64_t call, Heartbeat& event);
  Worker* Hear(const WorkerId& id);
  // Renews a lease, or revives one that expired; false when it is lost for good.
  bool Renew(const LeaseRef& lease, const WorkerId& worker);
  bool Revive(const Named& named, const WorkerId& worker);
  Lease& AddLease(TaskRank rank, const storage::AttemptRecord& attempt);
  // A full term from now, but no longer than a preempted lease has.
  void SetDeadline(const LeaseId& id, Lease& lease);
  // Takes the progress in; false when it has said nothing new for so long that the attempt hangs.
  bool NoteProgress(Lease& lease, Progress progress);
  // Whether a directive stands that the long poll has not told yet.
  bool HasNews(const WorkerId& id, const Worker& worker) const;
  // All directives that stand, which are told now.
  std::vector<Directive> TakeDirectives(const WorkerId& id, Worker& worker);
  void ForgetOldWorkers();

  // step_datasets.cc: registered data sets.
  void On(uint64_t call, CreateDataset& event);
  void On(uint64_t call, UpdateDataset& event);
  void On(uint64_t call, DeleteDataset& event);
  absl::Status CheckDatasets(const storage::JobRecord& job) const;

  // step_acquire.cc: long polls and grants.
  void On(uint64_t call, AcquireTasks& event);
  void On(uint64_t call, AbandonCall& event);
  std::vector<LeaseSet> GrantsOfRequest(const Worker& worker, const RequestId& request);
  // Answers the poll with what it was granted and all directives.
  void AnswerPoll(uint64_t id);
  void RemovePoll(uint64_t id);
  void AnswerReadyPolls();
  void Match();
  bool GrantOne(Poll& poll, Worker& worker);
  std::optional<ReadyQueue::Entry> ChooseFor(const Poll& poll, const Worker& worker);
  // Heads of the lanes whose turn it is on this worker.
  std::vector<ReadyQueue::Entry> LanesFor(const Worker& worker) const;
  // How many tasks of the chosen one's group the slot takes.
  size_t SizeOfSet(const ReadyQueue::Entry& chosen, const Worker& worker) const;
  // Whether the tasks are QUEUED, or one of them runs already.
  enum class Purpose : int8_t { kFirstAttempt, kSecondAttempt, kFurtherRank };
  void GrantAttempts(Poll& poll, Worker& worker, const std::vector<TaskRank>& members,
                     Purpose purpose, const GangSeat& seat);
  // What the priority of the queued task's lane has risen to.
  int32_t TurnPriority(const ReadyQueue::Place& place) const;
  Grant MakeGrant(TaskRank rank, const storage::AttemptRecord& attempt);
  std::vector<ResolvedInput> ResolveInputs(TaskRank rank) const;
  // A slot is free and nothing is queued for it: asks for members that have not started elsewhere.
  void RequestUnstarted(const WorkerId& idle);
  bool AnyUnstartedBundle() const;

  // step_blobs.cc: blobs and retention.
  void On(uint64_t call, BlobPresent& event);
  void On(uint64_t call, BlobsGone& event);
  void On(uint64_t call, FindMissing& event);
  void On(uint64_t call, CollectGarbage& event);
  // Marks a use, and brings a DELETING blob back to life. False when it is absent.
  bool Touch(const Digest& digest);
  void RemakeLostResults();
  void LoseResult(TaskRank rank);
  void DeleteFinishedJob(int64_t age);
  // How many jobs and data sets hold each blob, and the bytes of those that any holds.
  struct BlobReferences {
    absl::flat_hash_map<Digest, int64_t> counts;
    int64_t held_bytes = 0;
  };
  int64_t SizeOf(const Digest& digest) const;  // 0 when it is not there.
  bool IsLog(const Digest& digest) const;
  void CountReferences(const CollectGarbage& event, BlobReferences& references) const;
  // Returns how many.
  int DeleteOldJobs(const CollectGarbage& event, BlobReferences& references);
  // Forgets results of which a blob is gone.
  void DropEmptyResults();

  void On(uint64_t call, StoreRows& event);
  void On(uint64_t call, Tick& event);

  Core::State& state_;
  const Instant now_;
  IdSource& ids_;
  Effects effects_;
  std::set<WorkerId> notify_;         // Their directives may have changed.
  std::set<uint64_t> granted_polls_;  // Got leases in this step.
  // Lines of the ledger that have changed, by age of the job.
  std::set<std::pair<int64_t, std::pair<int32_t, storage::LedgerEntry>>> booked_;
};

}  // namespace distill::server
