// What the core shows of the books and of shared results. Device time: ledger.h.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/scheduler/core.h"
#include "server/scheduler/core_state.h"

namespace distill::server {

using storage::TaskState;

namespace {

constexpr size_t kMostKeyUsers = 1000;

void AddLines(const Core::State& state, const Ledger& ledger, LedgerView& view) {
  for (const auto& [account, line] : ledger) {
    view.accounts[state.strings.At(account.first)].lines[account.second] = line;
  }
}

// Whether a job that is not over holds the result of this key, through one of its tasks.
bool Pins(const Job& job, const Digest& key) {
  if (storage::IsTerminal(job.record.status.state)) return false;
  return std::any_of(job.tasks.begin(), job.tasks.end(), [&](const Task& task) {
    return task.key == key && task.status.state == TaskState::kSucceeded;
  });
}

}  // namespace

void Core::State::ShareDeviceTime(const WorkerId& worker, const std::string& set,
                                  MonotonicTime now) {
  const std::set<LeaseId>& members = workers.at(worker).sets.at(set);
  for (const LeaseId& id : members) {
    Lease& lease = leases.at(id);
    lease.device_time += (now - lease.shared_until) / static_cast<int64_t>(members.size());
    lease.shared_until = now;
  }
}

std::vector<JobId> Core::State::PinnedBy(const ResultKey& key) const {
  std::vector<JobId> pinned_by;
  for (const auto& [age, job] : jobs) {
    if (job->record.project == key.first && Pins(*job, key.second)) {
      pinned_by.push_back(job->record.id);
    }
  }
  return pinned_by;
}

bool Core::State::IsUsable(const storage::ResultRecord& result) const {
  return std::all_of(result.outputs.begin(), result.outputs.end(),
                     [this](const auto& output) { return IsPresent(output.digest); });
}

absl::StatusOr<LedgerView> Core::JobLedger(const JobId& id, MonotonicTime now) const {
  const Job* const job = state_->FindJob(id);
  if (job == nullptr) {
    return absl::NotFoundError(absl::StrCat("cannot show cost: no such job; job=", id.str()));
  }
  LedgerView view;
  view.project = job->record.project;
  view.job = id;
  AddLines(*state_, job->ledger, view);
  for (const auto& [lease_id, lease] : state_->leases) {
    if (lease.task.job_age != job->record.create_revision) continue;
    const std::string& kind = state_->strings.At(state_->TaskAt(lease.task).kind);
    view.accounts[kind].running += state_->DeviceTimeOf(lease, now);
  }
  return view;
}

std::vector<LedgerView> Core::ProjectLedgers(MonotonicTime now) const {
  std::map<ProjectId, LedgerView> views;
  for (const auto& [project, ledger] : state_->ledgers) {
    AddLines(*state_, ledger, views[project]);
  }
  for (const auto& [lease_id, lease] : state_->leases) {
    const std::string& kind = state_->strings.At(state_->TaskAt(lease.task).kind);
    views[state_->JobAt(lease.task).record.project].accounts[kind].running +=
        state_->DeviceTimeOf(lease, now);
  }
  std::vector<LedgerView> sorted;
  for (auto& [project, view] : views) {
    view.project = project;
    sorted.push_back(std::move(view));
  }
  return sorted;
}

absl::Duration Core::State::DeviceTimeOf(const Lease& lease, MonotonicTime now) const {
  const auto members = static_cast<int64_t>(workers.at(lease.worker).sets.at(lease.set).size());
  // What was booked when an earlier lease of the same attempt had run out is not running time.
  const absl::Duration booked =
      TaskAt(lease.task).attempts[static_cast<size_t>(lease.attempt - 1)].device_time;
  return lease.device_time + (now - lease.shared_until) / members - booked;
}

std::vector<CacheRow> Core::CacheRows() const {
  std::map<std::pair<ProjectId, std::string>, CacheRow> rows;
  for (const auto& [key, result] : state_->results) {
    CacheRow& row = rows[{key.first, result.kind}];
    ++row.entries;
    for (const storage::NamedBlob& output : result.outputs) row.bytes += output.size_bytes;
  }
  for (const auto& [project, ledger] : state_->ledgers) {
    for (const auto& [account, line] : ledger) {
      rows[{project, state_->strings.At(account.first)}].account.lines[account.second] = line;
    }
  }
  std::vector<CacheRow> sorted;
  for (auto& [place, row] : rows) {
    row.project = place.first;
    row.kind = place.second;
    sorted.push_back(std::move(row));
  }
  return sorted;
}

KeyView Core::FindKey(const ProjectId& project, const Digest& key) const {
  KeyView view;
  const ResultKey place(project, key);
  const auto result = state_->results.find(place);
  if (result != state_->results.end()) {
    view.result = result->second;
    view.usable = state_->IsUsable(result->second);
    view.pinned_by = state_->PinnedBy(place);
  }
  for (auto job = state_->jobs.rbegin(); job != state_->jobs.rend(); ++job) {
    if (job->second->record.project != project) continue;
    for (const Task& task : job->second->tasks) {
      if (task.key != key) continue;
      if (view.users.size() == kMostKeyUsers) return view;
      view.users.push_back(KeyUserView{
          storage::MakeTaskId(job->second->record.id, task.name), task.status.state,
          task.status.reused_from, task.wait == Task::Wait::kFollows, task.status.attempts > 0});
    }
  }
  return view;
}

std::vector<storage::NamedBlob> Core::ResultsOf(const ProjectId& project,
                                                const std::vector<Digest>& keys) const {
  std::vector<storage::NamedBlob> outputs;
  for (const Digest& key : keys) {
    const auto result = state_->results.find(ResultKey(project, key));
    if (result == state_->results.end() || !state_->IsUsable(result->second)) continue;
    outputs.insert(outputs.end(), result->second.outputs.begin(), result->second.outputs.end());
  }
  return outputs;
}

}  // namespace distill::server
