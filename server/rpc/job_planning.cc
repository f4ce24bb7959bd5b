#include "server/rpc/job_planning.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/error_details.h"
#include "base/ids.h"
#include "base/status_macros.h"
#include "server/rpc/host_class.h"
#include "server/rpc/plan_costs.h"
#include "server/rpc/plan_message.h"

namespace distill::server {
namespace {

// Enters the keys of jobs of class "any" only, which share no results.
constexpr char kNoJob[] = "job-planned";

std::vector<KnownResult> FindEqual(const Core& core, const JobPlan& plan) {
  const ProjectId project(plan.spec.project());
  std::vector<KnownResult> known;
  for (const PlannedTask& task : plan.tasks) {
    const std::optional<EqualTask> equal = core.FindEqual(project, task.key);
    KnownResult& result = known.emplace_back();
    if (!equal.has_value()) continue;
    result.execution = equal->done ? v1::PLANNED_EXECUTION_REUSES : v1::PLANNED_EXECUTION_JOINS;
    result.task = equal->task.str();
    result.device_seconds = absl::ToDoubleSeconds(equal->device_time);
  }
  return known;
}

}  // namespace

void JobPlanning::Continue(const UnaryCallPtr& call, std::function<void()> step) const {
  const absl::Status queued = dependencies_.queries->Submit(std::move(step));
  if (!queued.ok()) call->Finish(queued);
}

void JobPlanning::Start(const UnaryCallPtr& call, const v1::JobSpec& spec,
                        v1::JobPlan& response) const {
  Continue(call, [this, call, &spec, &response] { Prepare(call, spec, response); });
}

void JobPlanning::Prepare(const UnaryCallPtr& call, const v1::JobSpec& spec,
                          v1::JobPlan& response) const {
  if (call->IsCancelled()) return call->Finish(absl::CancelledError("the caller is gone"));
  absl::StatusOr<v1::JobSpec> complete = complete_(spec, call->caller());
  if (!complete.ok()) return call->Finish(WithFieldPrefix(complete.status(), "spec."));
  if (complete->execution().has_numeric_class()) return MakePlan(call, *complete, response);
  ChooseClass(call, std::make_shared<v1::JobSpec>(*std::move(complete)), response);
}

void JobPlanning::ChooseClass(const UnaryCallPtr& call, std::shared_ptr<v1::JobSpec> spec,
                              v1::JobPlan& response) const {
  dependencies_.driver->PostQuery(
      [this, call, spec = std::move(spec), &response](const Core* core, MonotonicTime now) {
        if (core == nullptr) return call->Finish(ServerStopping());
        std::string numeric_class = core->CommonNumericClass(spec->execution().device_kind(), now);
        // Nobody is there to ask: workers of the same make as this machine are the best guess.
        if (numeric_class.empty()) numeric_class = HostNumericClass();
        spec->mutable_execution()->set_numeric_class(numeric_class);
        Continue(call, [this, call, spec, &response] { MakePlan(call, *spec, response); });
      });
}

void JobPlanning::MakePlan(const UnaryCallPtr& call, const v1::JobSpec& spec,
                           v1::JobPlan& response) const {
  absl::StatusOr<JobPlan> plan = Plan(spec, kNoJob);
  if (!plan.ok()) return call->Finish(WithFieldPrefix(plan.status(), "spec."));
  LookUp(call, std::make_shared<const JobPlan>(*std::move(plan)), response);
}

void JobPlanning::LookUp(const UnaryCallPtr& call, std::shared_ptr<const JobPlan> plan,
                         v1::JobPlan& response) const {
  dependencies_.driver->PostQuery(
      [this, call, plan = std::move(plan), &response](const Core* core, MonotonicTime) {
        if (core == nullptr) return call->Finish(ServerStopping());
        Continue(call, [this, call, plan, &response, known = FindEqual(*core, *plan)] {
          const absl::StatusOr<PlanCosts> costs =
              PlanCosts::Read(*dependencies_.store, ProjectId(plan->spec.project()));
          if (costs.ok()) response = ToProto(*plan, known, *costs);
          call->Finish(costs.status());
        });
      });
}

}  // namespace distill::server
