// Decides which worker runs which task, when a worker has lost its task, and when a job is over.
//
// The core is a value: it holds no locks, reads no clock, does no I/O, knows no protobuf and draws
// ids only from the source handed in. Its caller passes `now` in and applies the returned effects
// in order: commit, then reply (effects.h). The same events, times and ids give the same effects.
// Callers: engine/driver.h, tests/simulation.
//
//   BLOCKED --inputs ready--> QUEUED --granted--> RUNNING --completed--> SUCCEEDED
//                                ^--expired, failed, released--'  '--budget spent--> FAILED
//   and from every state that is not terminal: CANCELLED          (checked copy: transitions.h)
//
// Not thread-safe: one thread owns it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/random_ids.h"
#include "server/scheduler/blob_class.h"
#include "server/scheduler/effects.h"
#include "server/scheduler/events.h"
#include "server/scheduler/explanation.h"
#include "server/scheduler/ledger.h"
#include "storage/state/state_store.h"

namespace distill::server {

struct CoreConfig {
  // A lease that is not renewed for this long is lost: exactly at the deadline.
  absl::Duration lease_duration = absl::Seconds(30);
  // First pause before a retry; doubles with each charged failure, up to the cap, with jitter of
  // +-25 %.
  absl::Duration retry_backoff = absl::Seconds(1);
  absl::Duration max_retry_backoff = absl::Seconds(60);
  // Budgets that jobs do not choose.
  int32_t max_resource_failures = 3;
  int32_t max_poison_failures = 1;
  // A worker with a warm trainer for a younger job may be given that job first, unless an older
  // task has been waiting this long.
  absl::Duration warm_patience = absl::Seconds(5);
  // Registered data sets, and the bytes of their copies in the blob store and of what is recorded
  // of them.
  int64_t max_datasets = 1000;
  int64_t max_dataset_bytes = int64_t{40} << 30;
  // A worker not heard of for this long is forgotten.
  absl::Duration worker_retention = absl::Hours(1);
  // What is preempted has so long to write a checkpoint and come back before its lease is taken.
  absl::Duration preempt_grace = absl::Seconds(60);
  // A task that has waited so long takes a slot from a running one of which the job's priority is
  // lower by at least the margin. 0: never.
  absl::Duration preempt_patience = absl::Minutes(2);
  int32_t preempt_margin = 3;
  // A task that has run for `speculation_after`, at less than `straggler_pace` of the mean pace of
  // at least `speculation_peers` tasks of its kind in its job that are done, may run a second time
  // on a slot that is idle; so many of all leases, and at least one. Budget 0: never.
  double speculation_budget = 0.05;
  absl::Duration speculation_after = absl::Minutes(1);
  double straggler_pace = 0.5;
  int32_t speculation_peers = 3;
  // A gang for which too few slots are free has those that become free kept for it when it has
  // waited `gang_patience`, for at most `gang_hold`; then others may have them for as long.
  absl::Duration gang_patience = absl::Seconds(30);
  absl::Duration gang_hold = absl::Minutes(10);
  // A waiting task rises by one priority each time it has waited so long.
  absl::Duration ageing_interval = absl::Minutes(10);
  // How fast the past use of slots is forgotten in a project's share.
  absl::Duration share_half_life = absl::Hours(1);
  // A worker that reports so many infrastructure failures in a row, over so many different tasks,
  // is put in quarantine. 0 failures: never.
  int32_t quarantine_after_failures = 5;
  int32_t quarantine_after_tasks = 3;
  // When the first canary task is tried; doubles with each canary that fails, up to the cap.
  absl::Duration canary_after = absl::Minutes(1);
  absl::Duration max_canary_after = absl::Hours(1);
  // A task of which the trainer died, alone and without progress, on so many different workers is
  // poison. 0: never.
  int32_t poison_after_workers = 4;
  // An attempt that started and heartbeats without any news of progress for so long, and for
  // `stall_factor` times its usual time between two news, has failed. 0: never.
  absl::Duration stall_timeout = absl::Minutes(20);
  double stall_factor = 20;
  // Longest wait of a long poll.
  absl::Duration max_wait = absl::Seconds(60);
};

// Both clocks at one moment. Decisions use `monotonic`; `wall` is only written down.
struct Instant {
  MonotonicTime monotonic;
  absl::Time wall;
};

// Volatile facts of one worker.
struct WorkerView {
  WorkerInfo info;
  bool draining = false;
  absl::Time drain_deadline = storage::kUnsetTime;
  storage::Quarantine quarantine = storage::Quarantine::kNone;
  std::string quarantine_reason;
  int32_t failures_in_a_row = 0;  // Infrastructure failures since its last success.
  bool live = false;              // Heard of within a lease term.
  absl::Time last_seen;
  int32_t slots_in_use = 0;
  std::vector<LeaseRef> leases;
};

// Volatile facts of one task that is not terminal.
struct TaskView {
  std::string task;
  storage::TaskState state = storage::TaskState::kBlocked;
  std::string waiting_reason;  // For BLOCKED and QUEUED.
  // While RUNNING.
  WorkerId worker;
  int32_t attempt = 0;
  bool has_progress = false;
  Progress progress;
};

// Gauges.
struct CoreTotals {
  std::map<storage::JobState, int64_t> jobs;
  std::map<storage::TaskState, int64_t> tasks;
  // QUEUED tasks by why they wait: for a slot, for the end of a back-off, for an equal task, for
  // their job to be resumed.
  int64_t ready_tasks = 0;
  int64_t backoff_tasks = 0;
  int64_t following_tasks = 0;
  int64_t held_tasks = 0;
  // Of the task that has waited longest for a slot; zero when there is none.
  absl::Duration oldest_wait;
  int64_t workers_live = 0;
  int64_t slots = 0;  // Of live workers.
  int64_t slots_in_use = 0;
};

// What a project may use, and what it uses.
struct QuotaView {
  storage::QuotaRecord quota;
  int32_t slots_in_use = 0;
  int32_t running_tasks = 0;
  double share = 0;
};

// A task that a worker holds a live lease of, and what it needs to run.
struct LeasedTask {
  JobId job;
  ProjectId project;
  std::vector<Digest> blobs;  // Inputs and checkpoints.
};

// Whose an attempt of an unfinished task is.
struct AttemptOwner {
  WorkerId worker;
  ProjectId project;
};

// A task with a given key that has a result, or that is under way.
struct EqualTask {
  TaskId task;
  bool done = false;
  // What its result cost to make; zero when that is not known.
  absl::Duration device_time;
};

struct AcceptedRequest {
  JobId job;
  Digest body;
};

class Core {
 public:
  explicit Core(const CoreConfig& config);
  ~Core();
  Core(Core&&) noexcept;
  Core& operator=(Core&&) noexcept;

  // Rebuilds the state of a server that stopped. Every running attempt gets a full new term from
  // `now`. kDataLoss when the image contradicts itself.
  static absl::StatusOr<Core> Recover(const CoreConfig& config, storage::StateImage image,
                                      Instant now);

  // Lets everything happen that is due at `now`, then `event`. `now` must not run backwards.
  Effects Step(Instant now, Event event, IdSource& ids);

  // When Step must be called with a Tick at the latest; InfiniteFuture() when nothing is pending.
  MonotonicTime NextDeadline() const;

  // Queries. They change nothing.
  std::vector<WorkerView> Workers(MonotonicTime now) const;
  // Of a worker that is not connected, what is known.
  WorkerView FindWorker(const WorkerId& worker, MonotonicTime now) const;
  // Tasks that are not terminal, in plan order; empty for an unknown job.
  std::vector<TaskView> Tasks(const JobId& job, MonotonicTime now) const;
  CoreTotals Totals(MonotonicTime now) const;
  // Why a task does not run, and what keeps it from each worker. kNotFound.
  absl::StatusOr<Explanation> Explain(const JobId& job, const std::string& task,
                                      MonotonicTime now) const;
  // Of projects that have a quota or use slots, in order of project.
  std::vector<QuotaView> Quotas(MonotonicTime now) const;
  // What the device time of a job went into. kNotFound.
  absl::StatusOr<LedgerView> JobLedger(const JobId& job, MonotonicTime now) const;
  // The same of projects, forgotten jobs included; in order of project.
  std::vector<LedgerView> ProjectLedgers(MonotonicTime now) const;
  // In order of project and kind.
  std::vector<CacheRow> CacheRows() const;
  // What is known of a task key; at most 1000 users.
  KeyView FindKey(const ProjectId& project, const Digest& key) const;
  // Blobs of the results that tasks with these keys would take now.
  std::vector<storage::NamedBlob> ResultsOf(const ProjectId& project,
                                            const std::vector<Digest>& keys) const;
  // Of all blobs that are there, those marked for removal included.
  const BlobTotals& blob_totals() const;
  // Of `worker` and of workers named after it, as in "gpu-01.2".
  std::vector<LeasedTask> LeasedTasks(const WorkerId& worker) const;
  // None when the lease was never granted, or its task has ended. A lease that has expired counts:
  // its result may still be wanted.
  std::optional<AttemptOwner> OwnerOf(const LeaseRef& lease) const;
  // The job that SubmitJob accepted under this request, with the digest of what was asked.
  std::optional<AcceptedRequest> FindRequest(const ProjectId& project,
                                             const RequestId& request) const;
  // The task of the project whose result one with this key would take. Nothing: it would run.
  std::optional<EqualTask> FindEqual(const ProjectId& project, const Digest& key) const;
  // The best class that every live worker supports, by the order of the worker that names it first;
  // empty when no worker is live. An empty device kind means any.
  std::string CommonNumericClass(const std::string& device_kind, MonotonicTime now) const;

  const CoreConfig& config() const;

  // For invariants.h.
  struct State;
  const State& state() const { return *state_; }

 private:
  explicit Core(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace distill::server
