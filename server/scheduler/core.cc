#include "server/scheduler/core.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "server/scheduler/core_state.h"
#include "server/scheduler/core_step.h"

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
  return MonotonicTime{next};
}

std::vector<WorkerView> Core::Workers(MonotonicTime now) const {
  std::vector<WorkerView> views;
  for (const auto& [id, worker] : state_->workers) {
    WorkerView view;
    view.info = worker.info;
    view.info.id = id;
    view.draining = state_->draining.count(id) != 0;
    view.live = state_->IsLive(worker, now);
    view.last_seen = worker.last_seen_wall;
    view.slots_in_use = static_cast<int32_t>(worker.sets.size());
    for (const auto& [set, leases] : worker.sets) {
      for (const LeaseId& lease : leases) {
        view.leases.push_back(RefOf(*state_, lease, state_->leases.at(lease)));
      }
    }
    views.push_back(std::move(view));
  }
  return views;
}

std::vector<TaskView> Core::Tasks(const JobId& id, MonotonicTime now) const {
  std::vector<TaskView> views;
  const Job* job = state_->FindJob(id);
  if (job == nullptr) return views;
  for (size_t i = 0; i < job->tasks.size(); ++i) {
    const Task& task = job->tasks[i];
    if (storage::IsTerminal(task.status.state)) continue;
    TaskView view;
    view.task = task.name;
    view.state = task.status.state;
    if (task.status.state == TaskState::kRunning) {
      const storage::AttemptRecord& attempt = task.attempts.back();
      const Lease& lease = state_->leases.at(attempt.lease_id);
      view.worker = attempt.worker;
      view.attempt = attempt.number;
      view.has_progress = lease.has_progress;
      view.progress = lease.progress;
    } else {
      view.waiting_reason = state_->WaitingReason(
          TaskRank{job->record.create_revision, static_cast<int32_t>(i)}, now);
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

CoreTotals Core::Totals(MonotonicTime now) const {
  CoreTotals totals;
  for (const auto& [age, job] : state_->jobs) {
    ++totals.jobs[job->record.status.state];
    for (const Task& task : job->tasks) {
      ++totals.tasks[task.status.state];
      totals.backoff_tasks += task.wait == Task::Wait::kBackoff ? 1 : 0;
      totals.following_tasks += task.wait == Task::Wait::kFollows ? 1 : 0;
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
