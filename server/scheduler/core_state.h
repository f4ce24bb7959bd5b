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
  // equal task.
  enum class Wait : int8_t { kNone, kReady, kBackoff, kFollows };
  Wait wait = Wait::kNone;
  ReadyQueue::Place place;    // While kReady.
  MonotonicTime not_before;   // While kBackoff.
  MonotonicTime ready_since;  // Since it is QUEUED.
};

struct Job {
  storage::JobRecord record;
  RequestId request;
  std::vector<Task> tasks;
  absl::flat_hash_map<absl::string_view, int32_t> index_of;  // Keys point into `tasks`.
  int32_t open_tasks = 0;                                    // Not terminal.
  storage::JobCounts counts;
  MonotonicTime finished;  // When it became terminal, as far as this process can tell.

  // Nothing of it may start any more: cancelled, or a task has failed for good.
  bool stopping() const {
    return record.status.state != storage::JobState::kRunning ||
           !record.status.failure_message.empty();
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
  bool has_progress = false;
  Progress progress;
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
  std::map<std::tuple<std::string, std::string, int64_t>, int32_t> requirement_numbers;

  ReadyQueue ready;
  absl::btree_set<std::pair<absl::Duration, TaskRank>> backoffs;
  // Tasks whose inputs are all there, to be looked at before the step ends.
  std::deque<TaskRank> unblocked;
  absl::flat_hash_map<ResultKey, Execution> executions;

  std::map<LeaseId, Lease> leases;
  absl::btree_set<std::pair<absl::Duration, LeaseId>> lease_deadlines;
  std::map<WorkerId, Worker> workers;
  std::set<WorkerId> draining;

  std::map<uint64_t, Poll> polls;  // By arrival.
  absl::btree_set<std::pair<absl::Duration, uint64_t>> poll_deadlines;
  absl::flat_hash_map<uint64_t, uint64_t> poll_of_call;
  uint64_t next_poll = 1;

  absl::flat_hash_map<Digest, Blob> blobs;
  absl::flat_hash_map<ResultKey, storage::ResultRecord> results;
  std::map<DatasetName, storage::DatasetRecord> datasets;
  // Blobs whose removal the server before this one may not have finished.
  std::vector<Digest> unlinks_due;

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
  // Fills tasks, index_of and dependents of `job` from `records`, which are in plan order and
  // checked.
  void AddTasks(Job& job, std::vector<storage::TaskRecord> records);

  bool IsPresent(const Digest& digest) const;  // PRESENT or DELETING.
  bool IsLive(const Worker& worker, MonotonicTime now) const;
  // The blob of one input; null when its producer has not succeeded.
  const storage::NamedBlob* ResultNamed(const Task& task, int32_t output) const;
  // Slots of live workers that take work and can run tasks with this requirement, and are free.
  int64_t UsableFreeSlots(const Requirement& requirement, MonotonicTime now) const;
  std::string WaitingReason(TaskRank rank, MonotonicTime now) const;
};

// The lease that names `lease` truly; null when there is none.
LeaseRef RefOf(const Core::State& state, const LeaseId& id, const Lease& lease);

}  // namespace distill::server
