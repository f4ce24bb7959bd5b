#include "server/scheduler/core_state.h"

#include <algorithm>

#include "absl/strings/str_join.h"

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
  const auto [found, added] =
      requirement_numbers.try_emplace(requirement, static_cast<int32_t>(requirements.size()));
  if (added) requirements.push_back(requirement);
  has_gangs = has_gangs || requirement.gang_size > 1;
  return found->second;
}

int32_t Core::State::LaneNumber(const ProjectId& project, int32_t priority) {
  const auto [found, added] = lane_numbers.try_emplace(std::make_pair(project, priority),
                                                       static_cast<int32_t>(lanes.size()));
  if (added) lanes.push_back(Lane{project, priority, WorkerId(), ""});
  return found->second;
}

void Core::State::AddTasks(Job& job, std::vector<storage::TaskRecord> records) {
  job.tasks.resize(records.size());
  job.index_of.reserve(records.size());
  job.lane = LaneNumber(job.record.project, job.record.limits.priority);
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
    task.requirement = RequirementNumber(Requirement{
        definition.numeric_class, definition.device_kind, definition.memory_bytes,
        std::move(definition.labels), std::move(definition.min_driver), definition.gang_size});
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

void Core::State::PutReady(TaskRank rank, MonotonicTime now) {
  Task& task = TaskAt(rank);
  // An attempt that resumes is at another step than its fellows.
  const bool bundles = task.bundle_group != ReadyQueue::kAlone && !task.status.solo &&
                       task.status.checkpoint.digest.empty();
  task.wait = Task::Wait::kReady;
  task.place = {task.requirement, JobAt(rank).lane,
                bundles ? task.bundle_group : ReadyQueue::kAlone};
  task.ready_since = now;
  ready.Add(rank, task.place);
  match_wanted = true;
}

void Core::State::CountBlob(const storage::BlobRecord& record, int sign) {
  BlobTotal& total = blob_totals[static_cast<size_t>(ClassOfArtifact(record.type))];
  total.count += sign;
  total.bytes += sign * record.size_bytes;
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

bool Core::State::IsDraining(const WorkerId& worker) const {
  const auto hold = holds.find(worker);
  return hold != holds.end() && hold->second.record.draining;
}

bool Core::State::IsQuarantined(const WorkerId& worker) const {
  const auto hold = holds.find(worker);
  return hold != holds.end() && hold->second.record.quarantine != storage::Quarantine::kNone;
}

int64_t Core::State::OfferedSlots(const WorkerId& id, const Worker& worker,
                                  MonotonicTime now) const {
  const auto used = static_cast<int64_t>(worker.sets.size());
  const int64_t free = std::max<int64_t>(0, worker.info.slots - used);
  const auto found = holds.find(id);
  if (found == holds.end()) return free;
  const WorkerHold& hold = found->second;
  if (hold.record.draining || hold.record.quarantine == storage::Quarantine::kManual) return 0;
  if (hold.record.quarantine == storage::Quarantine::kNone) return free;
  return now >= hold.canary_at && used == 0 ? std::min<int64_t>(free, 1) : 0;
}

int64_t Core::State::UsableFreeSlots(const Requirement& requirement, MonotonicTime now) const {
  int64_t slots = 0;
  for (const auto& [id, worker] : workers) {
    if (!IsLive(worker, now)) continue;
    const int64_t offered = OfferedSlots(id, worker, now);
    if (offered > 0 && Fits(requirement, worker.info)) slots += offered;
  }
  return slots;
}

std::vector<LeaseId> Core::State::GangOf(const Lease& lease) const {
  const storage::AttemptRecord& own = AttemptOf(lease);
  if (own.gang.empty()) return {own.lease_id};
  std::vector<LeaseId> members;
  for (const storage::AttemptRecord& attempt : TaskAt(lease.task).attempts) {
    const bool runs = attempt.state == storage::AttemptState::kRunning;
    if (runs && attempt.gang == own.gang) members.push_back(attempt.lease_id);
  }
  return members;
}

GangView Core::State::ViewOfGang(const Lease& lease) const {
  if (lease.gang_contact.empty()) return {};
  const std::vector<LeaseId> members = GangOf(lease);
  if (static_cast<int32_t>(members.size()) != AttemptOf(lease).gang_size) return {};
  GangView view;
  for (const LeaseId& member : members) {
    view.contacts.push_back(leases.at(member).gang_contact);
    if (view.contacts.back().empty()) return {};
  }
  view.name = Digest::OfBytes(absl::StrJoin(view.contacts, "\n")).str();
  return view;
}

bool Core::State::IsKeptForAnother(TaskRank rank, const Requirement& requirement) const {
  if (!reservation.has_value() || reservation->task == rank) return false;
  for (const auto& [id, worker] : workers) {
    const Requirement& gang = requirements[static_cast<size_t>(reservation->requirement)];
    if (Fits(requirement, worker.info) && !Fits(gang, worker.info)) return false;
  }
  return true;
}

LeaseRef RefOf(const Core::State& state, const LeaseId& id, const Lease& lease) {
  return LeaseRef{state.JobAt(lease.task).record.id, state.TaskAt(lease.task).name, lease.attempt,
                  id};
}

}  // namespace distill::server
