#include "server/scheduler/core_state.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace distill::server {

using storage::TaskState;

int32_t StringTable::Intern(absl::string_view text) {
  const auto [found, added] =
      numbers_.try_emplace(std::string(text), static_cast<int32_t>(texts_.size()));
  if (added) texts_.push_back(&found->first);
  return found->second;
}

Job* Core::State::FindJob(const JobId& id) {
  const auto age = age_of.find(id);
  return age == age_of.end() ? nullptr : jobs.at(age->second).get();
}

const Job* Core::State::FindJob(const JobId& id) const {
  const auto age = age_of.find(id);
  return age == age_of.end() ? nullptr : jobs.at(age->second).get();
}

TaskId Core::State::IdOf(TaskRank rank) const {
  return storage::MakeTaskId(JobAt(rank).record.id, TaskAt(rank).name);
}

ResultKey Core::State::KeyOf(TaskRank rank) const {
  return ResultKey(JobAt(rank).record.project, TaskAt(rank).key);
}

int32_t Core::State::RequirementNumber(const Requirement& requirement) {
  const auto [found, added] = requirement_numbers.try_emplace(
      std::make_tuple(requirement.numeric_class, requirement.device_kind, requirement.memory_bytes),
      static_cast<int32_t>(requirements.size()));
  if (added) requirements.push_back(requirement);
  return found->second;
}

void Core::State::AddTasks(Job& job, std::vector<storage::TaskRecord> records) {
  job.tasks.resize(records.size());
  job.index_of.reserve(records.size());
  for (size_t i = 0; i < records.size(); ++i) {
    storage::TaskDefinition& definition = records[i].definition;
    Task& task = job.tasks[i];
    task.name = std::move(definition.name);
    job.index_of.emplace(task.name, static_cast<int32_t>(i));
    task.spec = std::move(definition.spec);
    task.key = std::move(definition.key);
    task.kind = strings.Intern(definition.kind);
    if (!definition.bundle_group.empty()) {
      task.bundle_group = strings.Intern(definition.bundle_group);
    }
    task.requirement = RequirementNumber(
        Requirement{definition.numeric_class, definition.device_kind, definition.memory_bytes});
    task.inputs.reserve(definition.inputs.size());
    for (storage::TaskInput& input : definition.inputs) {
      InputSlot slot;
      slot.name = strings.Intern(input.name);
      slot.given = std::move(input.given);
      task.inputs.push_back(std::move(slot));
    }
    task.outputs.reserve(definition.outputs.size());
    for (const std::string& output : definition.outputs) {
      task.outputs.push_back(strings.Intern(output));
    }
    task.status = std::move(records[i].status);
  }
  // Producers may come later in the plan, so edges are drawn when all names are known.
  for (size_t i = 0; i < records.size(); ++i) {
    Task& task = job.tasks[i];
    for (size_t k = 0; k < task.inputs.size(); ++k) {
      const storage::TaskInput& input = records[i].definition.inputs[k];
      if (input.producer.empty()) continue;
      const int32_t producer = job.index_of.at(input.producer);
      task.inputs[k].producer = producer;
      task.inputs[k].output = strings.Intern(input.output);
      std::vector<int32_t>& dependents = job.tasks[static_cast<size_t>(producer)].dependents;
      const int32_t self = static_cast<int32_t>(i);
      if (!dependents.empty() && dependents.back() == self) continue;
      dependents.push_back(self);
      if (job.tasks[static_cast<size_t>(producer)].status.state != TaskState::kSucceeded) {
        ++task.blocked_on;
      }
    }
  }
}

bool Core::State::IsPresent(const Digest& digest) const {
  const auto found = blobs.find(digest);
  return found != blobs.end() && found->second.record.state != storage::BlobState::kUnlinking;
}

bool Core::State::IsLive(const Worker& worker, MonotonicTime now) const {
  return worker.registered && now - worker.last_seen < config.lease_duration;
}

const storage::NamedBlob* Core::State::ResultNamed(const Task& task, int32_t output) const {
  const std::string& name = strings.At(output);
  for (const storage::NamedBlob& result : task.status.results) {
    if (result.name == name) return &result;
  }
  return nullptr;
}

int64_t Core::State::UsableFreeSlots(const Requirement& requirement, MonotonicTime now) const {
  int64_t slots = 0;
  for (const auto& [id, worker] : workers) {
    if (!IsLive(worker, now) || draining.count(id) != 0) continue;
    const int64_t free = worker.info.slots - static_cast<int64_t>(worker.sets.size());
    if (free > 0 && Fits(requirement, worker.info)) slots += free;
  }
  return slots;
}

std::string Core::State::WaitingReason(TaskRank rank, MonotonicTime now) const {
  const Job& job = JobAt(rank);
  const Task& task = TaskAt(rank);
  if (task.status.state == TaskState::kBlocked) {
    for (const InputSlot& input : task.inputs) {
      if (input.producer < 0) continue;
      const Task& producer = job.tasks[static_cast<size_t>(input.producer)];
      if (producer.status.state == TaskState::kSucceeded) continue;
      if (task.blocked_on == 1) return absl::StrCat("waits for ", producer.name);
      return absl::StrCat("waits for ", producer.name, " and ", task.blocked_on - 1, " more");
    }
    return "about to be queued";
  }
  if (task.status.state != TaskState::kQueued) return "";
  if (task.wait == Task::Wait::kFollows) {
    const auto execution = executions.find(KeyOf(rank));
    if (execution == executions.end()) return "waits for an equal task";
    return absl::StrCat("waits for the equal task ", IdOf(execution->second.leader).str());
  }
  if (task.wait == Task::Wait::kBackoff) {
    return absl::StrCat("retries in ",
                        absl::FormatDuration(absl::Ceil(task.not_before - now, absl::Seconds(1))),
                        " after: ", task.status.failure_message);
  }
  bool any_live = false;
  bool any_fits = false;
  bool any_accepting = false;
  std::string unfit;
  for (const auto& [id, worker] : workers) {
    if (!IsLive(worker, now)) continue;
    any_live = true;
    const std::string why =
        WhyUnfit(requirements[static_cast<size_t>(task.requirement)], worker.info);
    if (!why.empty()) {
      unfit = why;
      continue;
    }
    any_fits = true;
    if (draining.count(id) == 0) any_accepting = true;
  }
  if (!any_live) return "no worker is connected";
  if (!any_fits) return absl::StrCat("no worker fits: each ", unfit);
  if (!any_accepting) return "all workers that fit are draining";
  return "no free slot";
}

LeaseRef RefOf(const Core::State& state, const LeaseId& id, const Lease& lease) {
  return LeaseRef{state.JobAt(lease.task).record.id, state.TaskAt(lease.task).name, lease.attempt,
                  id};
}

}  // namespace distill::server
