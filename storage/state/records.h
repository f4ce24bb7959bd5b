// What the server must never forget, as plain values: jobs, tasks, attempts, blobs, results, data
// sets, and the mutations that change them. No protobuf and no I/O, so that the scheduler core can
// speak of durable state without knowing how it is kept.
//
// Serialised messages (job spec, task spec, attempt statistics) are opaque bytes here. Times are
// for people; nothing is decided by them but the retention of finished jobs.
#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/digest.h"
#include "base/ids.h"

namespace distill::storage {

// Numbers equal those of the protocol's enums of the same name, and are what the database holds.
enum class JobState : int8_t {
  kRunning = 1,
  kSucceeded = 2,
  kFailed = 3,
  kCancelling = 4,
  kCancelled = 5,
  kPaused = 6
};
enum class TaskState : int8_t {
  kBlocked = 1,
  kQueued = 2,
  kRunning = 3,
  kSucceeded = 4,
  kFailed = 5,
  kCancelled = 6
};
enum class AttemptState : int8_t {
  kRunning = 1,
  kSucceeded = 2,
  kFailed = 3,
  kExpired = 4,
  kReleased = 5,
  kCancelled = 6
};
enum class FailureClass : int8_t {
  kNone = 0,
  kUser = 1,
  kInfrastructure = 2,
  kResource = 3,
  kPreempted = 4,
  kPoison = 5
};
// PRESENT blobs may be referred to. DELETING ones are marked by retention and come back to life
// when somebody asks for them; UNLINKING ones are being removed and do not.
enum class BlobState : int8_t { kPresent = 1, kDeleting = 2, kUnlinking = 3 };

// Whether a worker is kept from new work because of what it did to earlier work. An automatic
// quarantine ends when a canary task succeeds; a manual one when a person says so.
enum class Quarantine : int8_t { kNone = 0, kManual = 1, kAutomatic = 2 };

// What a line of the ledger counts. Losses are parts of what was spent.
enum class LedgerEntry : int8_t {
  kSpent = 1,      // Attempts that ended, and their device time.
  kSaved = 2,      // Results taken from equal tasks, and what they had cost.
  kMissed = 3,     // Tasks that became ready when nothing equal was there; no time.
  kMerged = 4,     // Tasks that became ready while an equal one was under way; no time.
  kLostUser = 11,  // By failure class, and so on.
  kLostInfrastructure = 12,
  kLostResource = 13,
  kLostPreempted = 14,
  kLostPoison = 15,
  kLostCancelled = 16,   // Its job was cancelled or had failed.
  kLostSuperseded = 17,  // Another attempt of the task was first.
  kLostResult = 18,      // A blob of the result was lost.
};

// Jobs may name a READY one; the name of a FAILED one is free.
enum class DatasetState : int8_t { kReading = 1, kReady = 2, kFailed = 3 };

bool IsTerminal(JobState state);
bool IsTerminal(TaskState state);
// Upper-case names as in the protocol without the prefix: "RUNNING".
const char* Name(JobState state);
const char* Name(TaskState state);
const char* Name(AttemptState state);
const char* Name(FailureClass failure_class);
const char* Name(Quarantine quarantine);
// "SPENT"; of a loss its cause: "INFRASTRUCTURE".
const char* Name(LedgerEntry entry);
bool IsLoss(LedgerEntry entry);

// A time that was never set.
inline constexpr absl::Time kUnsetTime = absl::InfinitePast();

// A named blob: an output ("module"), an observation ("log"), a report ("report.json").
struct NamedBlob {
  std::string name;
  Digest digest;
  int64_t size_bytes = 0;
  auto Tie() const { return std::tie(name, digest, size_bytes); }
};

// Null when there is none of the name.
const NamedBlob* FindBlob(const std::vector<NamedBlob>& blobs, absl::string_view name);

// The newest uploaded checkpoint of a task; none while `digest` is empty.
struct Checkpoint {
  Digest digest;
  int64_t size_bytes = 0;
  int64_t step = 0;
  auto Tie() const { return std::tie(digest, size_bytes, step); }
};

// Budgets, sizes and the place in the queue that a job chose for its tasks.
struct JobLimits {
  int32_t max_user_failures = 3;
  int32_t max_infrastructure_failures = 20;
  int32_t max_bundle = 16;
  int32_t priority = 5;  // 0 to 9; higher goes first.
  auto Tie() const {
    return std::tie(max_user_failures, max_infrastructure_failures, max_bundle, priority);
  }
};

// The part of a job that changes.
struct JobStatus {
  JobState state = JobState::kRunning;
  // Set as soon as a task has failed for good, even while other tasks are still being stopped.
  std::string failure_message;
  absl::Time finish_time = kUnsetTime;
  int64_t revision = 0;
  // Reports of the finished job.
  std::vector<NamedBlob> artifacts;
  auto Tie() const { return std::tie(state, failure_message, finish_time, revision, artifacts); }
};

struct JobRecord {
  JobId id;
  ProjectId project;
  std::string display_name;
  std::string spec;  // Serialised JobSpec.
  JobLimits limits;
  absl::Time create_time = kUnsetTime;
  int64_t create_revision = 0;  // Orders jobs by age; assigned by the core.
  JobStatus status;
  // Registered data sets that the spec names, each once.
  std::vector<DatasetName> datasets;
  std::string traceparent;  // W3C trace context of the job; empty in jobs of old.
  auto Tie() const {
    return std::tie(id, project, display_name, spec, limits, create_time, create_revision, status,
                    datasets, traceparent);
  }
};

// One input of a task: an output of another task of the job, or a given blob.
struct TaskInput {
  std::string name;      // Role in the consumer: "meta", "module.2".
  std::string producer;  // Name of the producing task within the job; empty: `given` is set.
  std::string output;    // Name of the producer's output.
  Digest given;
  auto Tie() const { return std::tie(name, producer, output, given); }
};

// The part of a task that is fixed when the job is planned.
struct TaskDefinition {
  std::string name;           // Within the job: "distill-module-2".
  int32_t index = 0;          // Plan order; 0 .. tasks - 1, each once.
  std::string kind;           // "DISTILL_MODULE"; also the metric label.
  std::string spec;           // Serialised TaskSpec; opaque.
  Digest key;                 // Task key. Empty: shares no results.
  std::string bundle_group;   // Tasks of one job with the same non-empty group may share a trainer.
  std::string numeric_class;  // A worker must be able to pin it; "any" or empty: no demand.
  std::string device_kind;    // "cpu", "cuda"; empty: any.
  int64_t memory_bytes = 0;   // Least memory of a slot; 0: no demand.
  int32_t gang_size = 1;      // Trainers that share it, each in a slot of its own.
  std::vector<std::string> labels;  // "key=value" that a worker must have; sorted.
  std::string min_driver;           // "535.104": of a worker's devices; empty: no demand.
  std::vector<TaskInput> inputs;
  std::vector<std::string> outputs;  // Names of the result artifacts.
  auto Tie() const {
    return std::tie(name, index, kind, spec, key, bundle_group, numeric_class, device_kind,
                    memory_bytes, gang_size, labels, min_driver, inputs, outputs);
  }
};

// The part of a task that changes.
struct TaskStatus {
  TaskState state = TaskState::kBlocked;
  // Number of the newest attempt; attempts are numbered from 1.
  int32_t attempts = 0;
  // Charged failures, by class.
  int32_t user_failures = 0;
  int32_t infrastructure_failures = 0;
  int32_t resource_failures = 0;
  int32_t poison_failures = 0;
  // Never bundled again: a trainer that ran it in a bundle died.
  bool solo = false;
  // Number of the attempt whose results these are; 0: none, or reused.
  int32_t winner_attempt = 0;
  std::vector<NamedBlob> results;
  // Logs and series of the winning attempt.
  std::vector<NamedBlob> observations;
  Checkpoint checkpoint;
  // The checkpoint before; kept until the newest has proved good.
  Checkpoint previous_checkpoint;
  // Task whose result was reused; empty when it ran itself.
  TaskId reused_from;
  absl::Duration device_time;  // What its result cost to make, whoever did.
  std::string failure_message;
  absl::Time start_time = kUnsetTime;
  absl::Time finish_time = kUnsetTime;
  int64_t revision = 0;
  auto Tie() const {
    return std::tie(state, attempts, user_failures, infrastructure_failures, resource_failures,
                    poison_failures, solo, winner_attempt, results, observations, checkpoint,
                    previous_checkpoint, reused_from, device_time, failure_message, start_time,
                    finish_time, revision);
  }
};

struct TaskRecord {
  TaskId id;  // MakeTaskId(job, definition.name).
  JobId job;
  TaskDefinition definition;
  TaskStatus status;
  auto Tie() const { return std::tie(id, job, definition, status); }
};

// "job-7f3a9c01/distill-module-2".
TaskId MakeTaskId(const JobId& job, const std::string& task_name);
// The parts of a task id; empty when it holds no '/'.
JobId JobOf(const TaskId& task);
std::string TaskNameOf(const TaskId& task);

// One lease of one task by one worker. (lease_id, number) is the fencing pair.
struct AttemptRecord {
  TaskId task;
  int32_t number = 0;
  LeaseId lease_id;
  WorkerId worker;
  RequestId acquire_request;  // The AcquireTasks call that was granted it.
  std::string lease_set;      // Attempts with the same set share one trainer.
  int32_t lease_set_size = 1;
  // The ranks of one gang are attempts that start together; the result is that of rank 0.
  std::string gang;  // Empty: no gang.
  int32_t gang_rank = 0;
  int32_t gang_size = 1;
  AttemptState state = AttemptState::kRunning;
  FailureClass failure_class = FailureClass::kNone;
  bool charged = false;  // Whether it counted against a budget.
  std::string message;
  absl::Time start_time = kUnsetTime;
  absl::Time finish_time = kUnsetTime;
  std::string stats;  // Serialised AttemptStats; opaque.
  std::vector<NamedBlob> observations;
  // Its share of the time for which its slot was leased, and the part of that which is in no result
  // and in no checkpoint that the task kept. Set when it has ended.
  absl::Duration device_time;
  absl::Duration lost_time;
  auto Tie() const {
    return std::tie(task, number, lease_id, worker, acquire_request, lease_set, lease_set_size,
                    gang, gang_rank, gang_size, state, failure_class, charged, message, start_time,
                    finish_time, stats, observations, device_time, lost_time);
  }
};

struct BlobRecord {
  Digest digest;
  int64_t size_bytes = 0;
  int32_t type = 0;  // Number of the protocol's ArtifactType.
  BlobState state = BlobState::kPresent;
  absl::Time create_time = kUnsetTime;
  auto Tie() const { return std::tie(digest, size_bytes, type, state, create_time); }
};

// Which attempt of which task made a blob, from which inputs.
struct LineageRecord {
  Digest digest;
  TaskId task;
  int32_t attempt = 0;
  std::string output;
  std::vector<Digest> inputs;
  auto Tie() const { return std::tie(digest, task, attempt, output, inputs); }
};

// The one result of a task key in a project.
struct ResultRecord {
  ProjectId project;
  Digest key;
  TaskId task;  // Which made it.
  std::vector<NamedBlob> outputs;
  std::string kind{};  // Of that task; empty in records of old.
  absl::Duration device_time{};
  absl::Time create_time = kUnsetTime;
  auto Tie() const { return std::tie(project, key, task, outputs, kind, device_time, create_time); }
};

// One line of the books: of the tasks of one kind in a job, or in all jobs that a project ever had.
struct LedgerRecord {
  ProjectId project;
  JobId job;  // Empty: all.
  std::string kind;
  LedgerEntry entry = LedgerEntry::kSpent;
  int64_t count = 0;
  absl::Duration device_time{};
  auto Tie() const { return std::tie(project, job, kind, entry, count, device_time); }
};

// Makes job submission repeatable. Lives as long as its job.
struct RequestRecord {
  ProjectId project;
  RequestId request;
  Digest body;
  JobId job;
  auto Tie() const { return std::tie(project, request, body, job); }
};

// Only what must outlive the server; everything else a worker tells anew.
struct WorkerRecord {
  WorkerId id;
  bool draining = false;
  // What still runs there at this moment is handed back; kUnsetTime: it may finish.
  absl::Time drain_deadline = kUnsetTime;
  Quarantine quarantine = Quarantine::kNone;
  std::string quarantine_reason;
  auto Tie() const { return std::tie(id, draining, drain_deadline, quarantine, quarantine_reason); }
};

// What a project may use, and its share when projects compete. 0: no limit.
struct QuotaRecord {
  ProjectId project;
  int32_t weight =
      1;  // 1 to 1000; a project of weight 2 is due twice the slots of one of weight 1.
  int32_t max_slots = 0;
  int32_t max_running_tasks = 0;
  int64_t max_blob_bytes = 0;  // Held by its jobs; looked at when one is submitted.
  int32_t max_submits_per_hour = 0;
  auto Tie() const {
    return std::tie(project, weight, max_slots, max_running_tasks, max_blob_bytes,
                    max_submits_per_hour);
  }
};

// The part of a data set that changes.
struct DatasetStatus {
  DatasetState state = DatasetState::kReading;
  std::string failure_message;
  std::string facts;         // Serialised DatasetFacts; empty until READY.
  std::string verification;  // Serialised DatasetVerification, the last that ended; empty: none.
  // The copy in the blob store: "manifest" and the shards that it lists. Empty: none.
  std::vector<NamedBlob> blobs;
  absl::Time finish_time = kUnsetTime;  // When it became READY or FAILED.
  auto Tie() const {
    return std::tie(state, failure_message, facts, verification, blobs, finish_time);
  }
};

struct DatasetRecord {
  DatasetName name;
  ProjectId project;   // Whose it is; empty: everybody may use it.
  RequestId request;   // That created it; tells it from an earlier one of the same name.
  Digest body;         // What that request asked for.
  std::string source;  // Serialised DatasetSource; opaque.
  absl::Time create_time = kUnsetTime;
  DatasetStatus status;
  auto Tie() const { return std::tie(name, project, request, body, source, create_time, status); }
};

// A bearer token. The secret itself is nowhere: it has 256 random bits, so its digest gives nothing
// away.
struct TokenRecord {
  std::string id;     // Stands in the token in the clear.
  Digest secret;      // Digest of the secret part.
  ProjectId project;  // "*": all.
  int32_t role = 0;   // Number of the protocol's Role.
  std::string description;
  std::string creator;  // Name of the caller who made it.
  absl::Time create_time = kUnsetTime;
  absl::Time expire_time = kUnsetTime;
  absl::Time revoke_time = kUnsetTime;     // Unset: it is not.
  absl::Time last_used_time = kUnsetTime;  // Within some minutes.
  auto Tie() const {
    return std::tie(id, secret, project, role, description, creator, create_time, expire_time,
                    revoke_time, last_used_time);
  }
};

// Says that a project may read a blob: somebody of it sent all its bytes, or it was made for it.
struct BlobOwnerRecord {
  Digest digest;
  ProjectId project;
  auto Tie() const { return std::tie(digest, project); }
};

// How many tasks of a job are in which state.
struct JobCounts {
  int32_t total = 0;
  int32_t succeeded = 0;
  int32_t running = 0;
  int32_t reused = 0;  // Of succeeded.
  auto Tie() const { return std::tie(total, succeeded, running, reused); }
};

// One change that Watch delivers: the changing fields of a job or of a task as they were at
// `revision`. Results of a SUCCEEDED task are final and stand in its TaskRecord.
struct EventRecord {
  int64_t revision = 0;
  JobId job;
  std::string task;  // Name within the job; empty: the job itself changed.
  JobState job_state = JobState::kRunning;
  TaskState task_state = TaskState::kBlocked;  // Meaningless for a job event.
  int32_t attempt = 0;                         // Newest attempt of the task.
  WorkerId worker;                             // While RUNNING.
  TaskId reused_from;
  std::string message;  // Failure message of the task or of the job.
  absl::Time time = kUnsetTime;
  JobCounts counts;  // Of the job, after this change.
  auto Tie() const {
    return std::tie(revision, job, task, job_state, task_state, attempt, worker, reused_from,
                    message, time, counts);
  }
};

template <typename Record>
using IfRecord = decltype(std::declval<const Record&>().Tie());

template <typename Record, typename = IfRecord<Record>>
bool operator==(const Record& a, const Record& b) {
  return a.Tie() == b.Tie();
}
template <typename Record, typename = IfRecord<Record>>
bool operator!=(const Record& a, const Record& b) {
  return !(a == b);
}

// Mutations. Each says what the state is afterwards, so that applying one twice changes nothing.

struct InsertJob {
  JobRecord job;
};
struct UpdateJob {
  JobId id;
  JobStatus status;
};
// Forgets a job with its tasks, attempts, events, request, lineage and lines of the ledger; its
// blobs stay its project's.
struct DeleteJob {
  JobId id;
};
struct InsertTask {
  TaskRecord task;
};
struct UpdateTask {
  TaskId id;
  TaskStatus status;
};
struct PutAttempt {
  AttemptRecord attempt;
};
struct PutBlob {
  BlobRecord blob;
};
// Takes its owners along.
struct DeleteBlob {
  Digest digest;
};
struct PutBlobOwner {
  BlobOwnerRecord owner;
};
struct PutToken {
  TokenRecord token;
};
// Nothing happens when there is no such token.
struct TouchToken {
  std::string id;
  absl::Time last_used_time;
};
struct DeleteToken {
  std::string id;
};
struct PutLineage {
  LineageRecord lineage;
};
struct PutResult {
  ResultRecord result;
};
struct DeleteResult {
  ProjectId project;
  Digest key;
};
struct PutLedger {
  LedgerRecord line;
};
struct PutRequest {
  RequestRecord request;
};
struct PutWorker {
  WorkerRecord worker;
};
struct PutQuota {
  QuotaRecord quota;
};
struct DeleteQuota {
  ProjectId project;
};
struct PutDataset {
  DatasetRecord dataset;
};
struct DeleteDataset {
  DatasetName name;
};
struct AppendEvent {
  EventRecord event;
};

using Mutation =
    std::variant<InsertJob, UpdateJob, DeleteJob, InsertTask, UpdateTask, PutAttempt, PutBlob,
                 DeleteBlob, PutLineage, PutResult, DeleteResult, PutLedger, PutRequest, PutWorker,
                 PutQuota, DeleteQuota, PutDataset, DeleteDataset, AppendEvent, PutBlobOwner,
                 PutToken, TouchToken, DeleteToken>;

}  // namespace distill::storage
