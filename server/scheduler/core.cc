#include "server/scheduler/core.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "server/scheduler/core_state.h"
#include "server/scheduler/core_step.h"
#include "server/scheduler/explainer.h"

namespace distill::server {

using storage::TaskState;

Core::Core(const CoreConfig& config) : state_(std::make_unique<State>()) {
  state_->config = config;
}
Core::Core(std::unique_ptr<State> state) : state_(std::move(state)) {}
Core::~Core() = default;
Core::Core(Core&&) noexcept = default;
Core& Core::operator=(Core&&) noexcept = default;

const CoreConfig& Core::config() const { return state_->config; }

Effects Core::Step(Instant now, Event event, IdSource& ids) {
  return CoreStep(*state_, now, ids).Run(std::move(event));
}

MonotonicTime Core::NextDeadline() const {
  if (!state_->unblocked.empty() || !state_->unlinks_due.empty() || state_->match_wanted) {
    return MonotonicTime{};
  }
  absl::Duration next = absl::InfiniteDuration();
  if (!state_->lease_deadlines.empty()) {
    next = std::min(next, state_->lease_deadlines.begin()->first);
  }
  if (!state_->poll_deadlines.empty()) {
    next = std::min(next, state_->poll_deadlines.begin()->first);
  }
  if (!state_->backoffs.empty()) next = std::min(next, state_->backoffs.begin()->first);
  next = std::min(next, state_->preempt_check.since_start);
  next = std::min(next, state_->gang_check.since_start);
  if (!state_->hold_deadlines.empty()) {
    next = std::min(next, state_->hold_deadlines.begin()->first);
  }
  return MonotonicTime{next};
}

WorkerView Core::FindWorker(const WorkerId& id, MonotonicTime now) const {
  WorkerView view;
  view.info.id = id;
  view.last_seen = storage::kUnsetTime;
  const auto known = state_->workers.find(id);
  if (known != state_->workers.end()) {
    const Worker& worker = known->second;
    view.info = worker.info;
    view.info.id = id;
    view.live = state_->IsLive(worker, now);
    view.last_seen = worker.last_seen_wall;
    view.failures_in_a_row = worker.failures_in_a_row;
    view.slots_in_use = static_cast<int32_t>(worker.sets.size());
    for (const auto& [set, leases] : worker.sets) {
      for (const LeaseId& lease : leases) {
        view.leases.push_back(RefOf(*state_, lease, state_->leases.at(lease)));
      }
    }
  }
  const auto hold = state_->holds.find(id);
  if (hold != state_->holds.end()) {
    view.draining = hold->second.record.draining;
    view.drain_deadline = hold->second.record.drain_deadline;
    view.quarantine = hold->second.record.quarantine;
    view.quarantine_reason = hold->second.record.quarantine_reason;
  }
  return view;
}

std::vector<WorkerView> Core::Workers(MonotonicTime now) const {
  std::vector<WorkerView> views;
  views.reserve(state_->workers.size());
  for (const auto& [id, worker] : state_->workers) views.push_back(FindWorker(id, now));
  return views;
}

std::vector<LeasedTask> Core::LeasedTasks(const WorkerId& worker) const {
  std::vector<LeasedTask> leased;
  const std::string relatives = absl::StrCat(worker.str(), ".");
  for (auto it = state_->workers.lower_bound(worker); it != state_->workers.end(); ++it) {
    if (!absl::StartsWith(it->first.str(), worker.str())) break;
    if (it->first != worker && !absl::StartsWith(it->first.str(), relatives)) continue;
    for (const auto& [set, leases] : it->second.sets) {
      for (const LeaseId& id : leases) {
        const TaskRank rank = state_->leases.at(id).task;
        const Job& job = state_->JobAt(rank);
        const Task& task = state_->TaskAt(rank);
        LeasedTask item{job.record.id, job.record.project, {}};
        for (const InputSlot& input : task.inputs) {
          if (input.producer < 0) {
            item.blobs.push_back(input.given);
            continue;
          }
          const Task& producer = job.tasks[static_cast<size_t>(input.producer)];
          const storage::NamedBlob* result = state_->ResultNamed(producer, input.output);
          if (result != nullptr) item.blobs.push_back(result->digest);
        }
        item.blobs.push_back(task.status.checkpoint.digest);
        item.blobs.push_back(task.status.previous_checkpoint.digest);
        leased.push_back(std::move(item));
      }
    }
  }
  return leased;
}

std::optional<AttemptOwner> Core::OwnerOf(const LeaseRef& lease) const {
  const Job* job = state_->FindJob(lease.job);
  if (job == nullptr) return std::nullopt;
  const auto index = job->index_of.find(lease.task);
  if (index == job->index_of.end()) return std::nullopt;
  const Task& task = job->tasks[static_cast<size_t>(index->second)];
  const int32_t number = lease.attempt_number;
  if (number < 1 || number > static_cast<int32_t>(task.attempts.size())) return std::nullopt;
  const storage::AttemptRecord& attempt = task.attempts[static_cast<size_t>(number - 1)];
  if (attempt.lease_id != lease.lease_id || storage::IsTerminal(task.status.state)) {
    return std::nullopt;
  }
  return AttemptOwner{attempt.worker, job->record.project};
}

std::vector<TaskView> Core::Tasks(const JobId& id, MonotonicTime now) const {
  std::vector<TaskView> views;
  const Job* job = state_->FindJob(id);
  if (job == nullptr) return views;
  Explainer explainer(*state_, now);
  for (size_t i = 0; i < job->tasks.size(); ++i) {
    const Task& task = job->tasks[i];
    if (storage::IsTerminal(task.status.state)) continue;
    TaskView view;
    view.task = task.name;
    view.state = task.status.state;
    if (task.status.state == TaskState::kRunning) {
      // The newest of those that run: a straggler has two.
      const auto newest = std::find_if(
          task.attempts.rbegin(), task.attempts.rend(),
          [](const auto& attempt) { return attempt.state == storage::AttemptState::kRunning; });
      const storage::AttemptRecord& attempt = *newest;
      const Lease& lease = state_->leases.at(attempt.lease_id);
      view.worker = attempt.worker;
      view.attempt = attempt.number;
      view.has_progress = lease.has_progress;
      view.progress = lease.progress;
    } else {
      view.waiting_reason =
          explainer.Explain(TaskRank{job->record.create_revision, static_cast<int32_t>(i)}).detail;
    }
    views.push_back(std::move(view));
  }
  return views;
}

std::optional<AcceptedRequest> Core::FindRequest(const ProjectId& project,
                                                 const RequestId& request) const {
  const auto known = state_->requests.find({project, request});
  if (known == state_->requests.end()) return std::nullopt;
  return AcceptedRequest{known->second.second, known->second.first};
}

std::optional<EqualTask> Core::FindEqual(const ProjectId& project, const Digest& key) const {
  if (key.empty()) return std::nullopt;
  const auto result = state_->results.find({project, key});
  if (result != state_->results.end())
    return EqualTask{result->second.task, /*done=*/true, result->second.device_time};
  const auto execution = state_->executions.find({project, key});
  if (execution == state_->executions.end()) return std::nullopt;
  return EqualTask{state_->IdOf(execution->second.leader), /*done=*/false, absl::ZeroDuration()};
}

const BlobTotals& Core::blob_totals() const { return state_->blob_totals; }

CoreTotals Core::Totals(MonotonicTime now) const {
  CoreTotals totals;
  for (const auto& [age, job] : state_->jobs) {
    ++totals.jobs[job->record.status.state];
    for (const Task& task : job->tasks) {
      ++totals.tasks[task.status.state];
      totals.backoff_tasks += task.wait == Task::Wait::kBackoff ? 1 : 0;
      totals.following_tasks += task.wait == Task::Wait::kFollows ? 1 : 0;
      totals.held_tasks += task.wait == Task::Wait::kHeld ? 1 : 0;
      if (task.wait != Task::Wait::kReady) continue;
      ++totals.ready_tasks;
      totals.oldest_wait = std::max(totals.oldest_wait, now - task.ready_since);
    }
  }
  for (const auto& [id, worker] : state_->workers) {
    totals.slots_in_use += static_cast<int64_t>(worker.sets.size());
    if (!state_->IsLive(worker, now)) continue;
    ++totals.workers_live;
    totals.slots += worker.info.slots;
  }
  return totals;
}

absl::StatusOr<Explanation> Core::Explain(const JobId& id, const std::string& name,
                                          MonotonicTime now) const {
  const Job* const job = state_->FindJob(id);
  if (job == nullptr) {
    return absl::NotFoundError(absl::StrCat("cannot explain task: no such job; job=", id.str()));
  }
  const auto index = job->index_of.find(name);
  if (index == job->index_of.end()) {
    return absl::NotFoundError(
        absl::StrCat("cannot explain task: no such task; job=", id.str(), " task=", name));
  }
  const TaskRank rank{job->record.create_revision, index->second};
  Explainer explainer(*state_, now);
  Explanation explanation = explainer.Explain(rank);
  explanation.workers = explainer.FitOfWorkers(rank);
  return explanation;
}

std::vector<QuotaView> Core::Quotas(MonotonicTime now) const {
  std::vector<QuotaView> views;
  for (const auto& [id, project] : state_->projects) {
    if (!project.has_quota && project.slots_in_use == 0) continue;
    QuotaView view{project.quota, project.slots_in_use, project.running_tasks,
                   state_->Share(id, now)};
    view.quota.project = id;
    views.push_back(std::move(view));
  }
  return views;
}

std::string Core::CommonNumericClass(const std::string& device_kind, MonotonicTime now) const {
  std::vector<std::string> common;
  bool first = true;
  for (const auto& [id, worker] : state_->workers) {
    if (!state_->IsLive(worker, now)) continue;
    if (!device_kind.empty() && worker.info.device_kind != device_kind) continue;
    const std::vector<std::string>& classes = worker.info.numeric_classes;
    if (std::exchange(first, false)) {
      common = classes;
      continue;
    }
    common.erase(std::remove_if(common.begin(), common.end(),
                                [&](const std::string& numeric_class) {
                                  return std::find(classes.begin(), classes.end(), numeric_class) ==
                                         classes.end();
                                }),
                 common.end());
  }
  return common.empty() ? std::string() : common.front();
}

}  // namespace distill::server
