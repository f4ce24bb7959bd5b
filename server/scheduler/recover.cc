// Rebuilds the core from what the state store holds. Back-offs, long polls, progress and what
// workers said about themselves are volatile: tasks are ready again at once, and workers are asked
// to register.
#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "server/scheduler/core.h"
#include "server/scheduler/core_state.h"
#include "server/scheduler/graph_check.h"

namespace distill::server {

using storage::AttemptState;
using storage::TaskState;

namespace {

absl::Status Corrupt(absl::string_view cause) {
  return absl::DataLossError(absl::StrCat("cannot recover scheduler state: ", cause,
                                          "; restore a backup of the data directory"));
}

// An age on the monotonic clock from one on the wall clock, which may have jumped either way.
MonotonicTime Before(const Instant& now, absl::Time then) {
  if (then == storage::kUnsetTime) return now.monotonic;
  return now.monotonic - std::max(absl::ZeroDuration(), now.wall - then);
}

// A deadline on the wall clock becomes one on the monotonic clock; a canary waits anew.
void RecoverHold(Core::State& state, storage::WorkerRecord record, const Instant& now) {
  WorkerHold hold;
  if (record.draining && record.drain_deadline != storage::kUnsetTime) {
    hold.drain_by =
        now.monotonic + std::max(absl::ZeroDuration(), record.drain_deadline - now.wall);
    state.hold_deadlines.emplace(hold.drain_by.since_start, record.id);
  }
  if (record.quarantine == storage::Quarantine::kAutomatic) {
    hold.canary_at = now.monotonic + state.config.canary_after;
    state.hold_deadlines.emplace(hold.canary_at.since_start, record.id);
  }
  const WorkerId worker = record.id;
  hold.record = std::move(record);
  state.holds.emplace(worker, std::move(hold));
}

void RecoverBlobs(Core::State& state, storage::StateImage& image, const Instant& now) {
  for (storage::BlobRecord& record : image.blobs) {
    const Digest digest = record.digest;
    if (record.state == storage::BlobState::kUnlinking) state.unlinks_due.push_back(digest);
    // A full grace period anew: what was used shortly before the stop is not known.
    state.CountBlob(record, 1);
    state.blobs.emplace(digest, Blob{std::move(record), now.monotonic, now.monotonic});
  }
  for (storage::ResultRecord& result : image.results) {
    ResultKey key(result.project, result.key);
    state.results.emplace(std::move(key), std::move(result));
  }
  for (storage::WorkerRecord& worker : image.workers) {
    if (worker.draining || worker.quarantine != storage::Quarantine::kNone) {
      RecoverHold(state, std::move(worker), now);
    }
  }
  for (storage::QuotaRecord& quota : image.quotas) {
    Project& project = state.projects[quota.project];
    project.submit_tokens = quota.max_submits_per_hour;
    project.tokens_at = now.monotonic;
    project.quota = std::move(quota);
    project.has_quota = true;
  }
  for (storage::DatasetRecord& dataset : image.datasets) {
    const DatasetName name = dataset.name;
    state.datasets.emplace(name, std::move(dataset));
  }
}

void RecoverLedger(Core::State& state, const storage::StateImage& image) {
  for (const storage::LedgerRecord& line : image.ledger) {
    Job* const job = state.FindJob(line.job);
    if (job == nullptr && !line.job.empty()) continue;
    Ledger& ledger = job == nullptr ? state.ledgers[line.project] : job->ledger;
    ledger[{state.strings.Intern(line.kind), line.entry}] =
        LedgerLine{line.count, line.device_time};
  }
}

absl::Status RecoverJobs(Core::State& state, storage::StateImage& image, const Instant& now) {
  for (storage::JobRecord& record : image.jobs) {
    auto job = std::make_unique<Job>();
    job->record = std::move(record);
    job->finished = Before(now, job->record.status.finish_time);
    const int64_t age = job->record.create_revision;
    if (age <= 0 || age > image.last_revision || state.jobs.contains(age)) {
      return Corrupt(absl::StrCat("a job has an impossible revision; job=", job->record.id.str()));
    }
    state.age_of.emplace(job->record.id, age);
    state.jobs.emplace(age, std::move(job));
  }
  for (storage::RequestRecord& request : image.requests) {
    Job* job = state.FindJob(request.job);
    if (job == nullptr) return Corrupt("a request names a job that is not there");
    job->requests.push_back(request.request);
    state.requests.emplace(std::make_pair(request.project, request.request),
                           std::make_pair(request.body, request.job));
  }
  absl::flat_hash_map<JobId, std::vector<storage::TaskRecord>> tasks_of;
  for (storage::TaskRecord& task : image.tasks) tasks_of[task.job].push_back(std::move(task));
  for (auto& [id, tasks] : tasks_of) {
    Job* job = state.FindJob(id);
    if (job == nullptr) return Corrupt("a task belongs to a job that is not there");
    std::sort(tasks.begin(), tasks.end(),
              [](const auto& a, const auto& b) { return a.definition.index < b.definition.index; });
    const absl::Status graph = CheckGraph(job->record, tasks);
    if (!graph.ok()) return Corrupt(graph.message());
    state.AddTasks(*job, std::move(tasks));
  }
  for (auto& [age, job] : state.jobs) {
    job->counts.total = static_cast<int32_t>(job->tasks.size());
    for (const Task& task : job->tasks) {
      if (!storage::IsTerminal(task.status.state)) ++job->open_tasks;
      if (task.status.state == TaskState::kRunning) ++job->counts.running;
      if (task.status.state != TaskState::kSucceeded) continue;
      ++job->counts.succeeded;
      if (!task.status.reused_from.empty()) ++job->counts.reused;
    }
    if ((job->open_tasks == 0) != storage::IsTerminal(job->record.status.state)) {
      return Corrupt(
          absl::StrCat("a job and its tasks disagree on its end; job=", job->record.id.str()));
    }
  }
  return absl::OkStatus();
}

// Every running attempt gets a full new term: the server's absence is no fault of a worker.
void RecoverLease(Core::State& state, TaskRank rank, const storage::AttemptRecord& attempt,
                  const Instant& instant) {
  const MonotonicTime now = instant.monotonic;
  Lease lease;
  lease.task = rank;
  lease.attempt = attempt.number;
  lease.worker = attempt.worker;
  lease.set = attempt.lease_set;
  lease.deadline = now + state.config.lease_duration;
  lease.moved_at = now;
  lease.began_at = now;
  // What its slot was shared with, and what is in its last checkpoint, is not known any more.
  lease.device_time = std::max(attempt.device_time, (now - Before(instant, attempt.start_time)) /
                                                        int64_t{attempt.lease_set_size});
  lease.shared_until = now;
  if (state.JobAt(rank).paused()) lease.preempt_by = now + state.config.preempt_grace;
  lease.deadline = std::min(lease.deadline, lease.preempt_by);
  lease.started = true;  // Unknown; a wrong "no" would only cause needless directives.
  state.lease_deadlines.emplace(lease.deadline.since_start, attempt.lease_id);
  Worker& worker = state.workers[attempt.worker];
  worker.last_seen = now;
  std::set<LeaseId>& set = worker.sets[attempt.lease_set];
  state.CountLease(state.JobAt(rank), set.empty() ? 1 : 0, 1, now);
  set.insert(attempt.lease_id);
  state.leases.emplace(attempt.lease_id, std::move(lease));
}

// A gang of which a rank was handed back is about to be handed back whole.
void RecoverGang(Core::State& state, const Task& task, MonotonicTime now) {
  const auto runs = [](const auto& attempt) {
    return attempt.state == AttemptState::kRunning && !attempt.gang.empty();
  };
  const auto first = std::find_if(task.attempts.begin(), task.attempts.end(), runs);
  if (first == task.attempts.end()) return;
  const bool handed_back =
      std::any_of(task.attempts.begin(), task.attempts.end(), [&](const auto& attempt) {
        return attempt.gang == first->gang && attempt.state == AttemptState::kReleased;
      });
  if (!handed_back) return;
  for (const storage::AttemptRecord& attempt : task.attempts) {
    if (!runs(attempt)) continue;
    Lease& lease = state.leases.at(attempt.lease_id);
    state.lease_deadlines.erase({lease.deadline.since_start, attempt.lease_id});
    lease.preempt_by = std::min(lease.preempt_by, now + state.config.preempt_grace);
    lease.deadline = std::min(lease.deadline, lease.preempt_by);
    state.lease_deadlines.emplace(lease.deadline.since_start, attempt.lease_id);
  }
}

absl::Status RecoverAttempts(Core::State& state, storage::StateImage& image, const Instant& now) {
  for (storage::AttemptRecord& attempt : image.attempts) {
    Job* job = state.FindJob(storage::JobOf(attempt.task));
    if (job == nullptr) return Corrupt("an attempt belongs to a job that is not there");
    const auto index = job->index_of.find(storage::TaskNameOf(attempt.task));
    if (index == job->index_of.end()) return Corrupt("an attempt belongs to no task");
    const TaskRank rank{job->record.create_revision, index->second};
    Task& task = state.TaskAt(rank);
    if (attempt.number != static_cast<int32_t>(task.attempts.size()) + 1) {
      return Corrupt(absl::StrCat("an attempt is missing; task=", attempt.task.str()));
    }
    const bool running = attempt.state == AttemptState::kRunning;
    if (running && task.status.state != TaskState::kRunning) {
      return Corrupt(
          absl::StrCat("an attempt runs but its task does not; task=", attempt.task.str()));
    }
    if (running) RecoverLease(state, rank, attempt, now);
    task.attempts.push_back(std::move(attempt));
  }
  for (const auto& [age, job] : state.jobs) {
    for (const Task& task : job->tasks) {
      const bool leased =
          std::any_of(task.attempts.begin(), task.attempts.end(),
                      [](const auto& attempt) { return attempt.state == AttemptState::kRunning; });
      if (leased != (task.status.state == TaskState::kRunning) ||
          task.status.attempts != static_cast<int32_t>(task.attempts.size())) {
        return Corrupt(absl::StrCat("a task and its attempts disagree; job=", job->record.id.str(),
                                    " task=", task.name));
      }
      RecoverGang(state, task, now.monotonic);
    }
  }
  return absl::OkStatus();
}

// What was in use before may go on, though a quota may be lower.
void RecoverAllowances(Core::State& state) {
  for (auto& [id, project] : state.projects) {
    project.slots_allowed = std::max(project.quota.max_slots, project.slots_in_use);
    project.tasks_allowed = std::max(project.quota.max_running_tasks, project.running_tasks);
  }
}

void RecoverQueued(Core::State& state, TaskRank rank, MonotonicTime now) {
  Task& task = state.TaskAt(rank);
  if (!task.key.empty()) {
    const auto [execution, first] =
        state.executions.try_emplace(state.KeyOf(rank), Execution{rank, {}});
    if (!first) {
      execution->second.followers.insert(rank);
      task.wait = Task::Wait::kFollows;
      return;
    }
  }
  if (state.JobAt(rank).paused()) {
    task.wait = Task::Wait::kHeld;
  } else {
    state.PutReady(rank, now);
  }
}

// Running tasks lead their key; of the others the oldest does that its job does not hold back. All
// that may run is looked at in the first step.
void RecoverQueue(Core::State& state, MonotonicTime now) {
  const auto for_each = [&](auto visit) {
    for (auto& [age, job] : state.jobs) {
      for (size_t i = 0; i < job->tasks.size(); ++i) {
        visit(*job, job->tasks[i], TaskRank{age, static_cast<int32_t>(i)});
      }
    }
  };
  for_each([&](const Job&, const Task& task, TaskRank rank) {
    if (task.status.state != TaskState::kRunning || task.key.empty()) return;
    state.executions.try_emplace(state.KeyOf(rank), Execution{rank, {}});
  });
  for (const bool paused : {false, true}) {
    for_each([&](const Job& job, const Task& task, TaskRank rank) {
      if (task.status.state != TaskState::kQueued || job.paused() != paused) return;
      RecoverQueued(state, rank, now);
    });
  }
  for_each([&](const Job&, const Task& task, TaskRank rank) {
    if (task.status.state == TaskState::kBlocked && task.blocked_on == 0) {
      state.unblocked.push_back(rank);
    }
  });
}

}  // namespace

absl::StatusOr<Core> Core::Recover(const CoreConfig& config, storage::StateImage image,
                                   Instant now) {
  auto state = std::make_unique<State>();
  state->config = config;
  state->last_revision = image.last_revision;
  RecoverBlobs(*state, image, now);
  DISTILL_RETURN_IF_ERROR(RecoverJobs(*state, image, now));
  RecoverLedger(*state, image);
  DISTILL_RETURN_IF_ERROR(RecoverAttempts(*state, image, now));
  RecoverAllowances(*state);
  RecoverQueue(*state, now.monotonic);
  return Core(std::move(state));
}

}  // namespace distill::server
