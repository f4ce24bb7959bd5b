// Everything that can happen to the scheduler, and what each event is answered with. Plain values;
// a call number ties an event to its reply.
//
// Worker events are level-triggered and safe to repeat. A worker proves that it holds an attempt by
// (lease_id, attempt_number).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/digest.h"
#include "base/ids.h"
#include "storage/state/records.h"

namespace distill::server {

// The fencing pair, with the task that it is about.
struct LeaseRef {
  JobId job;
  std::string task;  // Name within the job.
  int32_t attempt_number = 0;
  LeaseId lease_id;
};

// What the server wants of a worker; repeated until it is so. Numbers equal the protocol's.
struct Directive {
  enum class Kind : int8_t {
    kStopAttempt = 1,         // Cancelled: end the work on it, then release the lease.
    kAbandonAttempt = 2,      // The lease is lost: stop, publish nothing.
    kReleaseIfUnstarted = 3,  // A slot is free elsewhere: hand back members not yet started.
    kDrain = 4,               // Take no new work; finish what runs.
    kRegister = 5,            // The server does not know this worker: register again.
    kPreemptAttempt = 6,      // Write a checkpoint, then release the lease.
    kJoinGang = 7,            // How the ranks of a gang are reached.
  };
  Kind kind = Kind::kStopAttempt;
  LeaseRef lease{};                          // Empty for kDrain and kRegister.
  std::vector<std::string> gang_contacts{};  // Of kJoinGang: element r is that of rank r.
  std::string gang_view{};                   // A name for all of them as they are.
};

// Latest word from a running attempt; volatile. Fields as in the protocol's Progress.
struct Progress {
  int64_t step = 0;
  int64_t total_steps = 0;
  double loss = 0;
  double images_per_second = 0;
  int64_t images_seen = 0;
  std::string phase;
  double data_wait_ratio = 0;
  double eta_seconds = -1;
};

// Answer to events that only succeed or fail.
struct Done {};

// One status for each item of the event, in its order.
struct ItemStatuses {
  std::vector<absl::Status> statuses;
};

// Accepts a planned job. `job.id`, `job.spec`, limits, display name and project are the caller's;
// state, times and revisions are set by the core. Tasks need only id, job and definition. The graph
// must be acyclic with producers that exist; otherwise kInvalidArgument. A repeat of (project,
// request_id) with the same body returns the first job; with another body kAlreadyExists.
// kFailedPrecondition when a given blob is absent, a data set that it names is not READY, or no
// worker that is known could ever run a task. kResourceExhausted when a quota is used up.
struct SubmitJobReply {
  JobId job;
  bool existed = false;
};
struct SubmitJob {
  using Reply = SubmitJobReply;
  storage::JobRecord job;
  std::vector<storage::TaskRecord> tasks;
  RequestId request_id;
  Digest body;  // Digest of what was asked, to tell a repeat from another request.
  bool allow_unplaceable = false;  // Workers that can run it are still to come.
  // A terminal job of the same plan: its cancelled tasks lend their checkpoints. May be gone.
  JobId retry_of;
};

// Idempotent; a terminal job stays as it is. kNotFound; kAlreadyExists when the request id was used
// for something else; kAborted when the job is no longer at `expected_revision`.
struct CancelJob {
  using Reply = Done;
  JobId job;
  RequestId request_id{};         // Empty: not remembered.
  int64_t expected_revision = 0;  // 0: any.
};

// Nothing of a paused job starts, and what runs is preempted. Idempotent. kNotFound;
// kFailedPrecondition when the job is over or being cancelled.
struct PauseJob {
  using Reply = Done;
  JobId job;
  bool paused = true;
};

// Forgets a terminal job. kNotFound; kFailedPrecondition when it is not terminal.
struct DeleteJob {
  using Reply = Done;
  JobId job;
};

// Records reports of a terminal job beside it, replacing those of the same name. kNotFound;
// kFailedPrecondition when the job is not terminal or a blob is absent.
struct AttachJobArtifacts {
  using Reply = Done;
  JobId job;
  std::vector<storage::NamedBlob> artifacts;
};

// What a worker tells about itself; volatile.
struct WorkerInfo {
  WorkerId id;
  std::string hostname;
  std::string version;
  int32_t slots = 0;
  std::string device_kind;
  std::vector<std::string> numeric_classes;  // Best first.
  int64_t slot_memory_bytes = 0;             // 0: unknown, fits all.
  std::map<std::string, std::string> labels;
  std::string driver_version;  // "535.104.05"; empty: none, or unknown.
  std::string gang_network{};  // Interface of its trainers' gangs; empty: takes part in none.
};

struct Directives {
  std::vector<Directive> directives;
};

// Introduces a worker with the leases that it still runs. Its other leases end at once: whoever ran
// them is gone. Never fails once the info is valid (kInvalidArgument: no id or no slots).
struct RegisterWorker {
  using Reply = Directives;
  WorkerInfo info;
  std::vector<LeaseRef> leases;
};

// An input with its digest known.
struct ResolvedInput {
  std::string name;
  Digest digest;
  int64_t size_bytes = 0;
};
struct Grant {
  LeaseRef lease;
  std::string spec;  // Serialised TaskSpec.
  std::vector<ResolvedInput> inputs;
  storage::Checkpoint checkpoint;  // Empty digest: start at step 0.
  std::string traceparent{};       // Of the job.
  int32_t gang_rank = 0;
  int32_t gang_size = 1;  // 1: no gang.
};
// One or more attempts that one trainer runs in lockstep, in one slot.
struct LeaseSet {
  std::string id;
  std::vector<Grant> grants;
};
struct AcquireReply {
  std::vector<LeaseSet> lease_sets;
  std::vector<Directive> directives;
};

// Long poll: answered when there is work for a free slot, when there is a directive, or after
// `wait`. A repeat of `request_id` gets the grants of the first call as far as they still stand,
// also while that call is open and after a restart of the server. A new request of the same worker
// ends its older one.
struct AcquireTasks {
  using Reply = AcquireReply;
  WorkerId worker;
  RequestId request_id;
  int32_t max_lease_sets = 0;  // 0: directives only.
  absl::Duration wait;
  std::vector<Digest> cached;    // Hint.
  std::vector<JobId> warm_jobs;  // Hint.
};

struct LeaseProgress {
  LeaseRef lease;
  Progress progress;
  storage::Checkpoint checkpoint;  // Newest uploaded; empty digest: none.
  bool started = false;
  // Of a rank of a gang: how the others reach it, opaque, and which contacts it knows.
  std::string gang_contact{};
  std::string gang_view{};
};

// Renews the leases that it names. Unknown ones are answered with kAbandonAttempt.
struct Heartbeat {
  using Reply = Directives;
  WorkerId worker;
  std::vector<LeaseProgress> leases;
};

// Publishes results. Per item: OK also for a repeat; kFailedPrecondition "lease lost" or naming
// blobs that are not uploaded; kAborted when the digests differ from those already published;
// kInvalidArgument when the outputs are not exactly those of the task; kNotFound. Of a gang, ranks
// other than 0 publish nothing: they only say that their part is done.
struct CompleteAttempts {
  using Reply = ItemStatuses;
  struct Item {
    LeaseRef lease;
    std::vector<storage::NamedBlob> results;
    std::vector<storage::NamedBlob> observations;
    std::string stats;  // Serialised AttemptStats.
  };
  WorkerId worker;
  std::vector<Item> items;
};

// Per item: OK also for a repeat; kFailedPrecondition when the lease is lost; kInvalidArgument;
// kNotFound. Absent observations are dropped. (Bad inputs: check the blobs, then tell with
// BlobsGone.)
struct FailAttempts {
  using Reply = ItemStatuses;
  struct Item {
    LeaseRef lease;
    storage::FailureClass failure_class = storage::FailureClass::kNone;
    std::string message;
    std::vector<storage::NamedBlob> observations;
    std::string stats;
    bool trainer_died = false;  // By itself: a crash or a kill, not a failure that it reported.
    bool lost_gang = false;     // Another rank went first; says nothing about this worker.
  };
  WorkerId worker;
  std::vector<Item> items;
};

// Hands leases back unfinished and uncharged. Statuses as for FailAttempts.
struct ReleaseLeases {
  using Reply = ItemStatuses;
  struct Item {
    LeaseRef lease;
    std::string reason;
    storage::Checkpoint checkpoint;
    std::vector<storage::NamedBlob> observations;
    std::string stats;
  };
  WorkerId worker;
  std::vector<Item> items;
};

// Gives a worker no new work. Durable; also for a worker that is not connected. kNotFound for one
// never heard of.
struct DrainWorker {
  using Reply = Done;
  WorkerId worker;
  // What still runs after so long is preempted.
  absl::Duration deadline = absl::InfiniteDuration();
};

// Puts a worker in quarantine until it is released. Durable; also for a worker that is not
// connected. kNotFound for one never heard of.
struct QuarantineWorker {
  using Reply = Done;
  WorkerId worker;
  std::string reason;
};

// Ends draining and quarantine of a worker, and forgets its failures. Durable. kNotFound for one
// never heard of.
struct ReleaseWorker {
  using Reply = Done;
  WorkerId worker;
};

// Durable. What runs already goes on. kInvalidArgument.
struct SetQuota {
  using Reply = Done;
  storage::QuotaRecord quota;
};

// Durable, idempotent.
struct DeleteQuota {
  using Reply = Done;
  ProjectId project;
};

// A blob is complete, verified and durable in the blob store. kUnavailable while the same blob is
// being removed: upload again.
struct BlobPresent {
  using Reply = Done;
  Digest digest;
  int64_t size_bytes = 0;
  int32_t type = 0;
};

// Blobs are no longer in the blob store: removed by retention, or found corrupt or missing. Results
// that held them are forgotten, and a running job that still needs one makes it again.
struct BlobsGone {
  using Reply = Done;
  std::vector<Digest> digests;
};

// Which of the blobs are absent. Counts as a use, and as the announcement of an upload: call it
// before each upload. A blob that was marked for removal comes back to life. `busy` ones are being
// removed right now: ask again shortly.
struct FindMissingReply {
  std::vector<Digest> missing;
  std::vector<Digest> busy;
};
struct FindMissing {
  using Reply = FindMissingReply;
  std::vector<Digest> digests;
};

// Forgets the result of a task key, so that the next task that has it runs. Durable, idempotent.
// kFailedPrecondition while a job that is not over uses the result.
struct EvictResultReply {
  bool existed = false;
};
struct EvictResult {
  using Reply = EvictResultReply;
  ProjectId project;
  Digest key;
};

// Applies retention: forgets old jobs, marks blobs that nothing refers to, and asks for the removal
// of those marked a grace period ago. Sent by whoever keeps the clock.
struct CollectGarbageReply {
  int jobs_deleted = 0;
  int blobs_marked = 0;
  int64_t blob_bytes = 0;      // Of all blobs still there.
  int64_t bytes_unlinked = 0;  // Of those whose removal was asked for the first time.
};
struct CollectGarbage {
  using Reply = CollectGarbageReply;
  absl::Duration job_retention;  // Since the job finished.
  absl::Duration blob_grace;     // Since the last use, and again between mark and removal.
  int64_t max_blob_bytes = 0;    // Above it the oldest finished jobs go early; 0: no cap.
  // Instead of blob_grace for checkpoints, if shorter.
  absl::Duration checkpoint_grace = absl::InfiniteDuration();
  // Logs of a job are let go this long after its end, if the job stays longer.
  absl::Duration log_retention = absl::InfiniteDuration();
};

// Registers a data set in state READING. A repeat of the request gets the data set that it made; a
// name that is taken, but for that of a FAILED data set, is refused with kAlreadyExists.
struct CreateDatasetReply {
  bool existed = false;
};
struct CreateDataset {
  using Reply = CreateDatasetReply;
  DatasetName name;
  RequestId request_id;
  Digest body;         // Digest of what was asked, to tell a repeat from another request.
  std::string source;  // Serialised; opaque.
  ProjectId project;   // Whose it is; empty: everybody's.
};

// What became of reading or verifying a data set; `finish_time` is set by the core. kNotFound when
// the data set that this request created is gone; kFailedPrecondition when a blob is absent.
struct UpdateDataset {
  using Reply = Done;
  DatasetName name;
  RequestId request_id;
  storage::DatasetStatus status;
};

// kNotFound; kFailedPrecondition while an unfinished job uses it.
struct DeleteDataset {
  using Reply = Done;
  DatasetName name;
};

// Rows that scheduling knows nothing of, such as tokens, written by the one writer in its turn.
struct StoreRows {
  using Reply = Done;
  std::vector<storage::Mutation> rows;
};

// The caller of an open long poll is gone; no reply is sent.
struct AbandonCall {
  using Reply = Done;
  uint64_t call = 0;
};

// Time has passed; see Core::NextDeadline().
struct Tick {
  using Reply = Done;
};

using EventBody =
    std::variant<SubmitJob, CancelJob, PauseJob, DeleteJob, AttachJobArtifacts, RegisterWorker,
                 AcquireTasks, Heartbeat, CompleteAttempts, FailAttempts, ReleaseLeases,
                 DrainWorker, QuarantineWorker, ReleaseWorker, SetQuota, DeleteQuota, BlobPresent,
                 BlobsGone, FindMissing, EvictResult, CollectGarbage, CreateDataset, UpdateDataset,
                 DeleteDataset, StoreRows, AbandonCall, Tick>;

struct Event {
  uint64_t call = 0;  // Chosen by the caller, unique among open calls; 0: no reply wanted.
  EventBody body;
};

using ReplyBody =
    std::variant<Done, ItemStatuses, SubmitJobReply, Directives, AcquireReply, FindMissingReply,
                 EvictResultReply, CollectGarbageReply, CreateDatasetReply>;

}  // namespace distill::server
