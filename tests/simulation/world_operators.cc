// The people around the control plane: they draw its configuration, pause and resume jobs, drain
// and distrust workers, set quotas, evict results, and clear up when the storm is over.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "server/scheduler/invariants.h"
#include "tests/simulation/world.h"
#include "tests/support/scheduler/job_builder.h"

namespace distill {

void World::DrawPolicies() {
  const auto seconds = [this](uint32_t least, uint32_t most) {
    return absl::Seconds(least + random_.Below(most - least + 1));
  };
  server::CoreConfig& core = config_.core;
  core.preempt_grace = seconds(5, 60);
  core.preempt_patience = Chance(0.5) ? seconds(5, 120) : absl::ZeroDuration();
  core.preempt_margin = 1 + static_cast<int32_t>(random_.Below(4));
  core.speculation_budget = Chance(0.7) ? random_.Uniform() : 0;
  core.speculation_after = seconds(1, 20);
  core.straggler_pace = random_.Uniform(0.3, 1);
  core.speculation_peers = 1 + static_cast<int32_t>(random_.Below(3));
  core.ageing_interval = seconds(10, 600);
  core.share_half_life = seconds(10, 3600);
  core.quarantine_after_failures = static_cast<int32_t>(random_.Below(5));
  core.quarantine_after_tasks = 1 + static_cast<int32_t>(random_.Below(3));
  core.canary_after = seconds(5, 60);
  core.max_canary_after = absl::Minutes(5);
  core.poison_after_workers = static_cast<int32_t>(random_.Below(5));
  core.stall_timeout = Chance(0.5) ? seconds(20, 120) : absl::ZeroDuration();
  core.gang_patience = seconds(0, 30);
  core.gang_hold = seconds(5, 120);
  core.stall_factor = 1 + random_.Below(5);
}

storage::QuotaRecord World::DrawQuota() {
  storage::QuotaRecord quota;
  quota.project = ProjectId(absl::StrCat("p", random_.Below(3)));
  quota.weight = 1 + static_cast<int32_t>(random_.Below(5));
  quota.max_slots = static_cast<int32_t>(random_.Below(4));
  quota.max_running_tasks = static_cast<int32_t>(random_.Below(6));
  quota.max_blob_bytes = Chance(0.3) ? 1 + random_.Below(1000) : 0;
  quota.max_submits_per_hour = Chance(0.3) ? 1 + static_cast<int32_t>(random_.Below(100)) : 0;
  return quota;
}

void World::ActOperators() {
  const SimJob& job = jobs_[random_.Below(static_cast<uint32_t>(jobs_.size()))];
  if (Chance(0.06)) Order(server::PauseJob{job.submit.job.id, /*paused=*/true});
  if (Chance(0.08)) Order(server::PauseJob{job.submit.job.id, /*paused=*/false});
  const WorkerId worker = workers_[random_.Below(static_cast<uint32_t>(workers_.size()))].info.id;
  if (Chance(0.02)) {
    server::DrainWorker drain;
    drain.worker = worker;
    if (Chance(0.7)) drain.deadline = absl::Seconds(random_.Below(60));
    Order(drain);
  }
  if (Chance(0.02)) Order(server::QuarantineWorker{worker, "distrusted"});
  if (Chance(0.05)) Order(server::ReleaseWorker{worker});
  if (Chance(0.05)) Order(server::SetQuota{DrawQuota()});
  if (Chance(0.02)) Order(server::DeleteQuota{DrawQuota().project});
  if (Chance(0.05)) {
    Order(server::EvictResult{job.submit.job.project,
                              DigestFor(absl::StrCat("key ", random_.Below(10)))});
  }
}

void World::MakePeace() {
  for (const SimJob& job : jobs_) Order(server::PauseJob{job.submit.job.id, /*paused=*/false});
  for (const SimWorker& worker : workers_) Order(server::ReleaseWorker{worker.info.id});
  for (int project = 0; project < 3; ++project) {
    storage::QuotaRecord quota;
    quota.project = ProjectId(absl::StrCat("p", project));
    quota.max_slots = 3;  // Enough to end: as many as the largest gang.
    if (project == 0) {
      Order(server::SetQuota{quota});
    } else {
      Order(server::DeleteQuota{quota.project});
    }
  }
}

absl::Status World::DeleteEverything() {
  for (const SimJob& job : jobs_) Order(server::DeleteJob{job.submit.job.id});
  Settle();
  DISTILL_RETURN_IF_ERROR(CheckCore());
  const absl::StatusOr<storage::StateImage> image = store_.Load();
  DISTILL_RETURN_IF_ERROR(image.status());
  const bool empty = image->jobs.empty() && image->tasks.empty() && image->attempts.empty() &&
                     image->requests.empty() &&
                     std::all_of(image->ledger.begin(), image->ledger.end(),
                                 [](const auto& line) { return line.job.empty(); });
  return empty ? absl::OkStatus() : absl::InternalError("something of a deleted job is left");
}

}  // namespace distill
