// What projects use: slots and tasks of the moment, the share that decides between projects, and
// what their quotas still admit.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "server/scheduler/core_state.h"

namespace distill::server {
namespace {

// The mean of slots in use, after `slots` were in use for `time` more.
double MeanAfter(double mean, int32_t slots, absl::Duration time, absl::Duration half_life) {
  if (time <= absl::ZeroDuration() || half_life <= absl::ZeroDuration()) return mean;
  const double kept = std::exp2(-absl::FDivDuration(time, half_life));
  return mean * kept + slots * (1 - kept);
}

}  // namespace

void Core::State::CountLease(const Job& job, int slots, int tasks, MonotonicTime now) {
  const auto of_priority = leases_of_priority.try_emplace(job.record.limits.priority, 0).first;
  of_priority->second += tasks;
  if (of_priority->second == 0) leases_of_priority.erase(of_priority);

  Project& project = projects[job.record.project];
  project.mean_slots = MeanAfter(project.mean_slots, project.slots_in_use, now - project.mean_at,
                                 config.share_half_life);
  project.mean_at = now;
  project.slots_in_use += slots;
  project.running_tasks += tasks;
  DISTILL_CHECK(project.slots_in_use >= 0 && project.running_tasks >= 0,
                "what a project gives back it had");
  project.slots_allowed =
      std::max(project.quota.max_slots, std::min(project.slots_allowed, project.slots_in_use));
  project.tasks_allowed = std::max(project.quota.max_running_tasks,
                                   std::min(project.tasks_allowed, project.running_tasks));
}

bool Core::State::AnyLeaseUpTo(int32_t priority) const {
  return !leases_of_priority.empty() && leases_of_priority.begin()->first <= priority;
}

double Core::State::Share(const ProjectId& id, MonotonicTime now) const {
  const auto found = projects.find(id);
  if (found == projects.end()) return 0;
  const Project& project = found->second;
  const double mean = MeanAfter(project.mean_slots, project.slots_in_use, now - project.mean_at,
                                config.share_half_life);
  return (project.slots_in_use + mean) / std::max(1, project.quota.weight);
}

bool Core::State::QuotaAdmits(const ProjectId& id, int slots) const {
  const auto found = projects.find(id);
  if (found == projects.end() || !found->second.has_quota) return true;
  const Project& project = found->second;
  const storage::QuotaRecord& quota = project.quota;
  const bool slots_fit =
      slots == 0 || quota.max_slots == 0 || project.slots_in_use + slots <= quota.max_slots;
  const bool tasks_fit =
      quota.max_running_tasks == 0 || project.running_tasks < quota.max_running_tasks;
  return slots_fit && tasks_fit;
}

bool Core::State::QuotaAdmitsGang(const ProjectId& id, int32_t size) const {
  const auto found = projects.find(id);
  if (found == projects.end() || !found->second.has_quota) return true;
  const Project& project = found->second;
  const storage::QuotaRecord& quota = project.quota;
  const bool slots_fit = quota.max_slots == 0 || project.slots_in_use + size <= quota.max_slots;
  const bool tasks_fit =
      quota.max_running_tasks == 0 || project.running_tasks + size <= quota.max_running_tasks;
  return slots_fit && tasks_fit;
}

int32_t Core::State::TasksAdmitted(const ProjectId& id) const {
  constexpr int32_t kUnlimited = std::numeric_limits<int32_t>::max();
  const auto found = projects.find(id);
  if (found == projects.end() || !found->second.has_quota) return kUnlimited;
  const Project& project = found->second;
  const storage::QuotaRecord& quota = project.quota;
  if (quota.max_slots > 0 && project.slots_in_use >= quota.max_slots) return 0;
  if (quota.max_running_tasks == 0) return kUnlimited;
  return std::max(0, quota.max_running_tasks - project.running_tasks);
}

}  // namespace distill::server
