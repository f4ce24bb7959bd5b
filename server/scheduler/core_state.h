// What the core remembers: jobs with their tasks, leases, workers, open long polls, blobs, results,
// and the indexes over them. Internal to server/scheduler; invariants.cc states how the parts hang
// together.
//
// A queued task costs well under a kilobyte beside its serialised spec: texts that repeat are
// interned.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/node_hash_map.h"
#include "absl/strings/string_view.h"
#include "server/scheduler/core.h"
#include "server/scheduler/ledger.h"
#include "server/scheduler/placement.h"
#include "server/scheduler/ready_queue.h"
#include "storage/state/records.h"

namespace distill::server {

// Numbers for texts that many tasks share. Never forgets one.
class StringTable {
 public:
  int32_t Intern(absl::string_view text);
  const std::string& At(int32_t number) const { return *texts_[static_cast<size_t>(number)]; }

 private:
  absl::node_hash_map<std::string, int32_t> numbers_;
  std::vector<const std::string*> texts_;
};

struct InputSlot {
  int32_t name = 0;       // Interned.
  int32_t producer = -1;  // Index of the producing task; -1: `given`.
  int32_t output = 0;     // Interned.
  Digest given;
};

struct Task {
  std::string name;
  std::string spec;  // Dropped when the job is terminal.
  Digest key;
  int32_t kind = 0;                           // Interned.
  int32_t bundle_group = ReadyQueue::kAlone;  // Interned.
  int32_t requirement = 0;                    // Index into State::requirements.
  int32_t blocked_on = 0;                     // Distinct producers that have not succeeded.
  std::vector<InputSlot> inputs;
  std::vector<int32_t> outputs;     // Interned.
  std::vector<int32_t> dependents;  // Indexes, each once.
  storage::TaskStatus status;
  std::vector<storage::AttemptRecord> attempts;  // attempts[n - 1] has number n.

  // Of a QUEUED task, exactly one of: in the ready queue, waiting for its back-off, following an
  // equal task, held because its job is paused.
  enum class Wait : int8_t { kNone, kReady, kBackoff, kFollows, kHeld };
  Wait wait = Wait::kNone;
  ReadyQueue::Place place;    // While kReady.
  MonotonicTime not_before;   // While kBackoff.
  MonotonicTime ready_since;  // Since it is QUEUED.
  // With which it last got its turn: its job's priority, or more for the wait of its lane. 0 when
  // that is not known.
  int32_t turn_priority = 0;
  // Charged failures since its checkpoint last advanced; sets the back-off.
  int32_t failures_in_a_row = 0;
  // Workers whose trainer died over it, alone, since its checkpoint last advanced; null: none.
  std::unique_ptr<std::set<WorkerId>> deaths;
};

// How fast tasks of one kind were done, in steps per second.
struct Pace {
  double sum = 0;
  int32_t count = 0;
};

struct Job {
  storage::JobRecord record;
  std::vector<RequestId> requests;  // Answered ones, forgotten with the job.
  std::vector<Task> tasks;
  absl::flat_hash_map<absl::string_view, int32_t> index_of;  // Keys point into `tasks`.
  int32_t open_tasks = 0;                                    // Not terminal.
  storage::JobCounts counts;
  MonotonicTime finished;         // When it became terminal, as far as this process can tell.
  int32_t lane = 0;               // Index into State::lanes.
  std::map<int32_t, Pace> paces;  // By kind.
  Ledger ledger;

  bool paused() const { return record.status.state == storage::JobState::kPaused; }
  // Nothing of it may start any more: cancelled, or a task has failed for good.
  bool stopping() const {
    const bool open = record.status.state == storage::JobState::kRunning || paused();
    return !open || !record.status.failure_message.empty();
  }
};

// A running attempt.
struct Lease {
  TaskRank task;
  int32_t attempt = 0;
  WorkerId worker;
  std::string set;
  MonotonicTime deadline;
  bool started = false;
  bool stop_announced = false;     // Told over the long poll.
  bool release_requested = false;  // kReleaseIfUnstarted stands.
  bool release_announced = false;
  // Preempted: to be handed back by then. InfiniteFuture(): not.
  MonotonicTime preempt_by = InfiniteFuture();
  bool preempt_announced = false;
  bool has_progress = false;
  Progress progress;
  MonotonicTime moved_at;        // When `progress` last said something new.
  absl::Duration usual_silence;  // Smoothed time between two news.
  // When it was first heard that the trainer works on it, and at which step.
  MonotonicTime began_at;
  int64_t began_step = 0;
  // Its share of its slot's time, as of `shared_until`, with that of earlier leases of the same
  // attempt; and what it was when the task last took a checkpoint of it.
  absl::Duration device_time;
  MonotonicTime shared_until;
  absl::Duration kept_time;
  bool speculative = false;  // The second attempt of a straggler.
  // Of a rank of a gang: how the others reach it, once it has said so; the views of all contacts
  // that it has, and that it was told of over the long poll.
  std::string gang_contact{};
  std::string gang_view{};
  std::string announced_view{};
};

// How the ranks of a gang are reached.
struct GangView {
  std::vector<std::string> contacts;  // In order of rank; empty until all have said theirs.
  std::string name;
};

// Slots that become free are kept for a gang, until it can start or this has lasted too long.
struct Reservation {
  TaskRank task;
  int32_t requirement = 0;
  MonotonicTime until;
};

struct Worker {
  WorkerInfo info;
  bool registered = false;  // Since this process started.
  MonotonicTime last_seen;
  absl::Time last_seen_wall;
  std::map<std::string, std::set<LeaseId>> sets;  // By lease set: one slot each.
  uint64_t open_poll = 0;                         // 0: none.
  bool drain_announced = false;
  // Acquire requests already answered, newest last, so that a late repeat is granted nothing new.
  std::deque<RequestId> answered;
  // Infrastructure failures since the last success: how many lease sets, and over which tasks.
  int32_t failures_in_a_row = 0;
  std::set<TaskRank> failed_tasks;
  std::string last_failed_set;
};

// What keeps a worker from new work. Known also while the worker is not.
struct WorkerHold {
  storage::WorkerRecord record;
  MonotonicTime drain_by = InfiniteFuture();  // What runs then is preempted.
  // Of an automatic quarantine: when one task may be tried, and how many such canaries failed.
  MonotonicTime canary_at;
  int32_t failed_canaries = 0;
};

// What a project may use, and what it uses.
struct Project {
  storage::QuotaRecord quota;
  bool has_quota = false;
  int32_t slots_in_use = 0;
  int32_t running_tasks = 0;
  // Mean of slots_in_use over the last hours, the older the less; as of `mean_at`.
  double mean_slots = 0;
  MonotonicTime mean_at;
  // Submissions that are still free in this hour, as of `tokens_at`.
  double submit_tokens = 0;
  MonotonicTime tokens_at;
  // What was in use when a lower quota came may go on, but does not rise again.
  int32_t slots_allowed = 0;
  int32_t tasks_allowed = 0;
};

// Jobs of one project and priority.
struct Lane {
  ProjectId project;
  int32_t priority = 0;
  // The lease set that was last preempted for a task of this lane.
  WorkerId wanted_from;
  std::string wanted_set;
};

// An AcquireTasks that is not answered yet. Several calls may wait for it: repeats of one request.
struct Poll {
  std::vector<uint64_t> calls;
  WorkerId worker;
  RequestId request;
  int32_t max_lease_sets = 0;
  MonotonicTime deadline;
  absl::flat_hash_set<Digest> cached;
  absl::flat_hash_set<JobId> warm_jobs;
  AcquireReply reply;  // Grants so far in this step.
};

struct Blob {
  storage::BlobRecord record;
  MonotonicTime last_use;
  MonotonicTime marked;  // When it became DELETING or UNLINKING.
};

// Tasks of a project with the same key that are not terminal: one executes, the rest follow it.
struct Execution {
  TaskRank leader;
  absl::btree_set<TaskRank> followers;
};

using ResultKey = std::pair<ProjectId, Digest>;

struct Core::State {
  CoreConfig config;
  int64_t last_revision = 0;

  absl::btree_map<int64_t, std::unique_ptr<Job>> jobs;  // By age: create_revision.
  absl::flat_hash_map<JobId, int64_t> age_of;
  std::map<std::pair<ProjectId, RequestId>, std::pair<Digest, JobId>> requests;

  StringTable strings;
  std::vector<Requirement> requirements;
  std::map<Requirement, int32_t> requirement_numbers;
  std::vector<Lane> lanes;
  std::map<std::pair<ProjectId, int32_t>, int32_t> lane_numbers;
  std::map<ProjectId, Project> projects;
  std::map<int32_t, int64_t> leases_of_priority;  // No zeros.
  std::set<LeaseId> stragglers;
  int64_t speculative_leases = 0;

  ReadyQueue ready;
  absl::btree_set<std::pair<absl::Duration, TaskRank>> backoffs;
  // Tasks whose inputs are all there, to be looked at before the step ends.
  std::deque<TaskRank> unblocked;
  absl::flat_hash_map<ResultKey, Execution> executions;

  std::map<LeaseId, Lease> leases;
  absl::btree_set<std::pair<absl::Duration, LeaseId>> lease_deadlines;
  std::map<WorkerId, Worker> workers;
  std::map<WorkerId, WorkerHold> holds;
  // When a drain deadline or the time of a canary comes.
  absl::btree_set<std::pair<absl::Duration, WorkerId>> hold_deadlines;

  std::map<uint64_t, Poll> polls;  // By arrival.
  absl::btree_set<std::pair<absl::Duration, uint64_t>> poll_deadlines;
  absl::flat_hash_map<uint64_t, uint64_t> poll_of_call;
  uint64_t next_poll = 1;

  absl::flat_hash_map<Digest, Blob> blobs;
  BlobTotals blob_totals;  // Of `blobs`.
  absl::flat_hash_map<ResultKey, storage::ResultRecord> results;
  std::map<ProjectId, Ledger> ledgers;
  std::map<DatasetName, storage::DatasetRecord> datasets;
  // Blobs whose removal the server before this one may not have finished.
  std::vector<Digest> unlinks_due;

  // When a waiting task may take a slot from one of lower priority.
  MonotonicTime preempt_check = InfiniteFuture();

  bool has_gangs = false;  // Some task ever needed several slots at once.
  std::optional<Reservation> reservation;
  // When a reservation begins or ends.
  MonotonicTime gang_check = InfiniteFuture();
  // Gangs whose reservation has lasted too long, and when they may have another.
  std::map<TaskRank, MonotonicTime> reserve_after;

  // Set when a free slot and a ready task may have come together.
  bool match_wanted = false;

  Job* FindJob(const JobId& id);
  const Job* FindJob(const JobId& id) const;
  Job& JobAt(TaskRank rank) { return *jobs.at(rank.job_age); }
  const Job& JobAt(TaskRank rank) const { return *jobs.at(rank.job_age); }
  Task& TaskAt(TaskRank rank) { return JobAt(rank).tasks[static_cast<size_t>(rank.index)]; }
  const Task& TaskAt(TaskRank rank) const {
    return JobAt(rank).tasks[static_cast<size_t>(rank.index)];
  }
  TaskId IdOf(TaskRank rank) const;
  ResultKey KeyOf(TaskRank rank) const;
  int32_t RequirementNumber(const Requirement& requirement);
  int32_t LaneNumber(const ProjectId& project, int32_t priority);
  // Fills tasks, index_of and dependents of `job` from `records`, which are in plan order and
  // checked.
  void AddTasks(Job& job, std::vector<storage::TaskRecord> records);

  // Puts a QUEUED task that waits nowhere into the ready queue.
  void PutReady(TaskRank rank, MonotonicTime now);
  // Keeps blob_totals; sign 1 when the blob came, -1 when it went.
  void CountBlob(const storage::BlobRecord& record, int sign);
  bool IsPresent(const Digest& digest) const;  // PRESENT or DELETING.
  bool IsLive(const Worker& worker, MonotonicTime now) const;
  // The blob of one input; null when its producer has not succeeded.
  const storage::NamedBlob* ResultNamed(const Task& task, int32_t output) const;
  bool IsDraining(const WorkerId& worker) const;
  bool IsQuarantined(const WorkerId& worker) const;
  // How many slots of the worker may take new work now: its free ones, none while it drains, one in
  // all for the canary of a quarantine.
  int64_t OfferedSlots(const WorkerId& id, const Worker& worker, MonotonicTime now) const;
  // Whether free slots that this task would take are kept for another one.
  bool IsKeptForAnother(TaskRank rank, const Requirement& requirement) const;
  // The running attempts of the lease's gang in order of rank; of a lease without gang, its own.
  std::vector<LeaseId> GangOf(const Lease& lease) const;
  GangView ViewOfGang(const Lease& lease) const;
  const storage::AttemptRecord& AttemptOf(const Lease& lease) const {
    return TaskAt(lease.task).attempts[static_cast<size_t>(lease.attempt - 1)];
  }
  // Slots of live workers that take work and can run tasks with this requirement, and are free.
  int64_t UsableFreeSlots(const Requirement& requirement, MonotonicTime now) const;

  // Brings the device time of the set's members up to now; call before one joins or leaves.
  void ShareDeviceTime(const WorkerId& worker, const std::string& set, MonotonicTime now);
  // So far, and not booked yet.
  absl::Duration DeviceTimeOf(const Lease& lease, MonotonicTime now) const;
  // Whether all blobs of the result are there.
  bool IsUsable(const storage::ResultRecord& result) const;
  // Jobs that are not over and of which a task has the result of this key; oldest first.
  std::vector<JobId> PinnedBy(const ResultKey& key) const;

  // Keeps the count of what the project uses as a lease comes (+1) or goes (-1), and a slot with it
  // or not.
  void CountLease(const Job& job, int slots, int tasks, MonotonicTime now);
  // Whether a task of a job of at most this priority runs.
  bool AnyLeaseUpTo(int32_t priority) const;
  // Slots in use plus their mean over the last hours, by weight; zero for an unknown project.
  double Share(const ProjectId& project, MonotonicTime now) const;
  // Whether one more task, in so many more slots, is within the quota.
  bool QuotaAdmits(const ProjectId& project, int slots) const;
  // Whether a gang of so many, each of which counts as a task, is within the quota.
  bool QuotaAdmitsGang(const ProjectId& project, int32_t size) const;
  // How many more tasks, in one more slot, the quota lets run; a large number when there is none.
  int32_t TasksAdmitted(const ProjectId& project) const;
};

// The lease that names `lease` truly; null when there is none.
LeaseRef RefOf(const Core::State& state, const LeaseId& id, const Lease& lease);

}  // namespace distill::server
