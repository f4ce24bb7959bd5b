// A plan as the protocol tells it: which tasks run, and what they are expected to need.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "distill/v1/job_service.pb.h"
#include "server/planner/planner.h"
#include "server/rpc/plan_costs.h"

namespace distill::server {

// How a planned task stands to work that was done or is under way before the job.
struct KnownResult {
  v1::PlannedExecution execution = v1::PLANNED_EXECUTION_RUNS;
  // "job-7f3a9c01/distill-module-2"; empty when it runs.
  std::string task;
  // What its result cost to make; 0 when that is not known.
  double device_seconds = 0;
};

// `known` has one entry for each task of the plan.
v1::JobPlan ToProto(const JobPlan& plan, const std::vector<KnownResult>& known,
                    const PlanCosts& costs);

}  // namespace distill::server
