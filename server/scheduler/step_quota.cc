// Quotas: set and forgotten by people, looked at when a job is submitted. (Slots and running tasks
// are looked at when a task is granted: project_use.cc.)
#include <algorithm>
#include <limits>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/error_details.h"
#include "base/error_reasons.h"
#include "server/scheduler/core_step.h"
#include "server/scheduler/references.h"

namespace distill::server {
namespace {

constexpr int32_t kMostWeight = 1000;

absl::Status UsedUp(const ProjectId& project, absl::string_view what, int64_t limit,
                    absl::string_view remedy) {
  const absl::Status status = absl::ResourceExhaustedError(
      absl::StrCat("cannot submit job: the quota of its project is used up, ", remedy,
                   "; project=", project.str(), " quota=", what, " limit=", limit));
  return WithQuota(WithReason(status, reason::kQuotaUsedUp),
                   absl::StrCat("project:", project.str()),
                   absl::StrCat(what, " is ", limit, "; ", remedy));
}

}  // namespace

void CoreStep::On(uint64_t call, SetQuota& event) {
  const storage::QuotaRecord& quota = event.quota;
  const bool sound = !quota.project.empty() && quota.weight >= 1 && quota.weight <= kMostWeight &&
                     quota.max_slots >= 0 && quota.max_running_tasks >= 0 &&
                     quota.max_blob_bytes >= 0 && quota.max_submits_per_hour >= 0;
  if (!sound) {
    return Refuse(call, absl::InvalidArgumentError(absl::StrCat(
                            "cannot set quota: it needs a project, a weight from 1 to ",
                            kMostWeight, " and limits of 0 or more; project=", quota.project.str(),
                            " weight=", quota.weight)));
  }
  Project& project = state_.projects[quota.project];
  const int32_t old_rate = project.has_quota ? project.quota.max_submits_per_hour : 0;
  if (quota.max_submits_per_hour != old_rate) {
    project.submit_tokens = quota.max_submits_per_hour;
    project.tokens_at = now_.monotonic;
  }
  project.quota = quota;
  project.has_quota = true;
  project.slots_allowed = std::max(quota.max_slots, project.slots_in_use);
  project.tasks_allowed = std::max(quota.max_running_tasks, project.running_tasks);
  effects_.mutations.push_back(storage::PutQuota{quota});
  state_.match_wanted = true;
  ReplyTo(call, Done{});
}

void CoreStep::On(uint64_t call, DeleteQuota& event) {
  const auto found = state_.projects.find(event.project);
  if (found != state_.projects.end() && found->second.has_quota) {
    found->second.quota = storage::QuotaRecord{};
    found->second.has_quota = false;
    effects_.mutations.push_back(storage::DeleteQuota{event.project});
    state_.match_wanted = true;
  }
  ReplyTo(call, Done{});
}

absl::Status CoreStep::CheckQuota(const ProjectId& id) {
  const auto found = state_.projects.find(id);
  if (found == state_.projects.end() || !found->second.has_quota) return absl::OkStatus();
  Project& project = found->second;
  const storage::QuotaRecord& quota = project.quota;
  if (quota.max_blob_bytes > 0 && HeldBytes(id) >= quota.max_blob_bytes) {
    return UsedUp(id, "max_blob_bytes", quota.max_blob_bytes,
                  "delete finished jobs of the project or raise its quota");
  }
  if (quota.max_submits_per_hour == 0) return absl::OkStatus();
  const double limit = quota.max_submits_per_hour;
  const double earned =
      limit * absl::FDivDuration(now_.monotonic - project.tokens_at, absl::Hours(1));
  project.submit_tokens = std::min(limit, project.submit_tokens + earned);
  project.tokens_at = now_.monotonic;
  if (project.submit_tokens < 1) {
    const auto seconds = static_cast<int64_t>((1 - project.submit_tokens) / limit * 3600) + 1;
    return WithRetryDelay(UsedUp(id, "max_submits_per_hour", quota.max_submits_per_hour,
                                 absl::StrCat("try again in ", seconds, " seconds")),
                          absl::Seconds(seconds));
  }
  project.submit_tokens -= 1;
  return absl::OkStatus();
}

int64_t CoreStep::HeldBytes(const ProjectId& project) const {
  absl::flat_hash_set<Digest> held;
  int64_t bytes = 0;
  for (const auto& [age, job] : state_.jobs) {
    if (job->record.project != project) continue;
    ForEachReference(*job, [&](const Digest& digest) {
      if (digest.empty() || !held.insert(digest).second) return;
      const auto blob = state_.blobs.find(digest);
      if (blob != state_.blobs.end()) bytes += blob->second.record.size_bytes;
    });
  }
  return bytes;
}

}  // namespace distill::server
