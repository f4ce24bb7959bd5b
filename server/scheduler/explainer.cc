#include "server/scheduler/explainer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/scheduler/placement.h"

namespace distill::server {

using storage::TaskState;

const char* Name(WaitReason reason) {
  switch (reason) {
    case WaitReason::kNone:
      return "NONE";
    case WaitReason::kInputs:
      return "INPUTS";
    case WaitReason::kJobPaused:
      return "JOB_PAUSED";
    case WaitReason::kEqualTask:
      return "EQUAL_TASK";
    case WaitReason::kBackoff:
      return "BACKOFF";
    case WaitReason::kNoWorker:
      return "NO_WORKER";
    case WaitReason::kNoFit:
      return "NO_FIT";
    case WaitReason::kUnavailable:
      return "UNAVAILABLE";
    case WaitReason::kQuota:
      return "QUOTA";
    case WaitReason::kNoFreeSlot:
      return "NO_FREE_SLOT";
    case WaitReason::kTurn:
      return "TURN";
    case WaitReason::kGang:
      return "GANG";
  }
  return "UNKNOWN";
}

const char* Name(Predicate predicate) {
  switch (predicate) {
    case Predicate::kNone:
      return "NONE";
    case Predicate::kConnected:
      return "CONNECTED";
    case Predicate::kDeviceKind:
      return "DEVICE_KIND";
    case Predicate::kNumericClass:
      return "NUMERIC_CLASS";
    case Predicate::kMemory:
      return "MEMORY";
    case Predicate::kLabels:
      return "LABELS";
    case Predicate::kNotDraining:
      return "NOT_DRAINING";
    case Predicate::kNotQuarantined:
      return "NOT_QUARANTINED";
    case Predicate::kFreeSlot:
      return "FREE_SLOT";
    case Predicate::kAsking:
      return "ASKING";
    case Predicate::kDriver:
      return "DRIVER";
    case Predicate::kGangNetwork:
      return "GANG_NETWORK";
  }
  return "UNKNOWN";
}

const Explainer::Fleet& Explainer::FleetFor(int32_t requirement) {
  const auto [found, added] = fleets_.try_emplace(requirement);
  Fleet& fleet = found->second;
  if (!added) return fleet;
  for (const auto& [id, worker] : state_.workers) {
    if (!state_.IsLive(worker, now_)) continue;
    fleet.any_live = true;
    Unfit why = WhyUnfit(state_.requirements[static_cast<size_t>(requirement)], worker.info);
    if (why.failed != Predicate::kNone) {
      fleet.unfit = std::move(why.detail);
      continue;
    }
    fleet.any_fits = true;
    const bool quarantined = state_.IsQuarantined(id);
    fleet.any_quarantined = fleet.any_quarantined || quarantined;
    const bool offers = state_.OfferedSlots(id, worker, now_) > 0;
    fleet.any_offers = fleet.any_offers || offers;
    if (offers || (!quarantined && !state_.IsDraining(id))) fleet.any_takes_work = true;
  }
  return fleet;
}

void Explainer::ExplainInputs(const Job& job, const Task& task, Explanation& explanation) const {
  explanation.reason = WaitReason::kInputs;
  for (const InputSlot& input : task.inputs) {
    if (input.producer < 0) continue;
    const Task& producer = job.tasks[static_cast<size_t>(input.producer)];
    if (producer.status.state == TaskState::kSucceeded) continue;
    bool known = false;
    for (const std::string& name : explanation.waits_for) known = known || name == producer.name;
    if (!known) explanation.waits_for.push_back(producer.name);
  }
  if (explanation.waits_for.empty()) {
    explanation.detail = "about to be queued";
    return;
  }
  explanation.detail = absl::StrCat("waits for ", explanation.waits_for.front());
  const size_t more = explanation.waits_for.size() - 1;
  if (more > 0) absl::StrAppend(&explanation.detail, " and ", more, " more");
}

void Explainer::ExplainReady(TaskRank rank, Explanation& explanation) {
  const Task& task = state_.TaskAt(rank);
  const Fleet& fleet = FleetFor(task.requirement);
  const auto say = [&](WaitReason reason, std::string detail) {
    explanation.reason = reason;
    explanation.detail = std::move(detail);
  };
  if (!fleet.any_live) return say(WaitReason::kNoWorker, "no worker is connected");
  if (!fleet.any_fits) {
    return say(WaitReason::kNoFit, absl::StrCat("no worker fits: each ", fleet.unfit));
  }
  if (!fleet.any_takes_work) {
    return say(WaitReason::kUnavailable, fleet.any_quarantined
                                             ? "all workers that fit are in quarantine or draining"
                                             : "all workers that fit are draining");
  }
  const ProjectId& project = state_.JobAt(rank).record.project;
  const Requirement& requirement = state_.requirements[static_cast<size_t>(task.requirement)];
  if (!state_.QuotaAdmitsGang(project, requirement.gang_size)) {
    return say(WaitReason::kQuota,
               absl::StrCat("the quota of project ", project.str(), " is used up"));
  }
  if (!fleet.any_offers) return say(WaitReason::kNoFreeSlot, "no free slot");
  const int64_t free = state_.UsableFreeSlots(requirement, now_);
  if (free < requirement.gang_size) {
    const bool held = state_.reservation.has_value() && state_.reservation->task == rank;
    return say(WaitReason::kGang, absl::StrCat("needs ", requirement.gang_size, " slots at once, ",
                                               free, held ? " are kept free for it" : " are free"));
  }
  if (state_.IsKeptForAnother(rank, requirement)) {
    return say(WaitReason::kTurn, "free slots are kept for a gang that goes first");
  }
  say(WaitReason::kTurn, "no free slot is asked for yet, or others go first");
}

Explanation Explainer::Explain(TaskRank rank) {
  const Job& job = state_.JobAt(rank);
  const Task& task = state_.TaskAt(rank);
  Explanation explanation;
  explanation.state = task.status.state;
  explanation.priority = job.record.limits.priority;
  explanation.effective_priority = explanation.priority;
  explanation.project_share = state_.Share(job.record.project, now_);
  if (task.status.state == TaskState::kBlocked) {
    ExplainInputs(job, task, explanation);
    return explanation;
  }
  switch (task.wait) {
    case Task::Wait::kNone:
      break;
    case Task::Wait::kHeld:
      explanation.reason = WaitReason::kJobPaused;
      explanation.detail = "the job is paused";
      break;
    case Task::Wait::kFollows: {
      explanation.reason = WaitReason::kEqualTask;
      explanation.detail = "waits for an equal task";
      const auto execution = state_.executions.find(state_.KeyOf(rank));
      if (execution == state_.executions.end()) break;
      explanation.waits_for.push_back(state_.IdOf(execution->second.leader).str());
      explanation.detail = absl::StrCat("waits for the equal task ", explanation.waits_for.front());
      break;
    }
    case Task::Wait::kBackoff:
      explanation.reason = WaitReason::kBackoff;
      explanation.retry_in = task.not_before - now_;
      explanation.detail = absl::StrCat(
          "retries in ", absl::FormatDuration(absl::Ceil(explanation.retry_in, absl::Seconds(1))),
          " after: ", task.status.failure_message);
      break;
    case Task::Wait::kReady:
      explanation.effective_priority = EffectivePriority(
          explanation.priority, now_ - task.ready_since, state_.config.ageing_interval);
      ExplainReady(rank, explanation);
      break;
  }
  return explanation;
}

std::vector<WorkerFit> Explainer::FitOfWorkers(TaskRank rank) const {
  std::vector<WorkerFit> fits;
  const Task& task = state_.TaskAt(rank);
  if (task.status.state != TaskState::kQueued) return fits;
  const Requirement& requirement = state_.requirements[static_cast<size_t>(task.requirement)];
  for (const auto& [id, worker] : state_.workers) {
    WorkerFit fit{id, Predicate::kNone, ""};
    const auto fails = [&](Predicate predicate, std::string detail) {
      fit.failed = predicate;
      fit.detail = std::move(detail);
    };
    Unfit why = WhyUnfit(requirement, worker.info);
    const bool free = static_cast<int32_t>(worker.sets.size()) < worker.info.slots;
    if (!state_.IsLive(worker, now_)) {
      fails(Predicate::kConnected, "is not connected");
    } else if (why.failed != Predicate::kNone) {
      fails(why.failed, std::move(why.detail));
    } else if (state_.IsDraining(id)) {
      fails(Predicate::kNotDraining, "is draining");
    } else if (state_.IsQuarantined(id) && state_.OfferedSlots(id, worker, now_) == 0) {
      fails(Predicate::kNotQuarantined,
            absl::StrCat("is in quarantine: ", state_.holds.at(id).record.quarantine_reason));
    } else if (!free) {
      fails(Predicate::kFreeSlot, "has no free slot");
    } else if (worker.open_poll == 0) {
      fails(Predicate::kAsking, "has not asked for work just now");
    }
    fits.push_back(std::move(fit));
  }
  return fits;
}

}  // namespace distill::server
