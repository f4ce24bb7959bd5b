// Answers PlanJob: the same checks and the same plan as CreateJob, and then a look at what is known
// of every task instead of a submission.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "distill/v1/job_service.pb.h"
#include "server/planner/planner.h"
#include "server/rpc/call.h"
#include "server/rpc/rpc_dependencies.h"

namespace distill::server {

// Thread-safe.
class JobPlanning {
 public:
  // Fills in what presets, defaults and data sets tell, and refuses what the caller may not see and
  // what cannot be run. Blocks.
  using Complete =
      std::function<absl::StatusOr<v1::JobSpec>(const v1::JobSpec& spec, const Caller& caller)>;

  JobPlanning(const RpcDependencies& dependencies, Complete complete)
      : dependencies_(dependencies), complete_(std::move(complete)) {}

  // `spec` and `response` live until the call is finished.
  void Start(const UnaryCallPtr& call, const v1::JobSpec& spec, v1::JobPlan& response) const;

 private:
  // Each on the thread that may do it: read the data set and check the spec (I/O thread), ask the
  // core for a numeric class (driver), plan (I/O thread), look for equal tasks (driver), read what
  // tasks took (I/O thread).
  void Prepare(const UnaryCallPtr& call, const v1::JobSpec& spec, v1::JobPlan& response) const;
  void ChooseClass(const UnaryCallPtr& call, std::shared_ptr<v1::JobSpec> spec,
                   v1::JobPlan& response) const;
  void MakePlan(const UnaryCallPtr& call, const v1::JobSpec& spec, v1::JobPlan& response) const;
  void LookUp(const UnaryCallPtr& call, std::shared_ptr<const JobPlan> plan,
              v1::JobPlan& response) const;
  // Runs `step` on an I/O thread.
  void Continue(const UnaryCallPtr& call, std::function<void()> step) const;

  const RpcDependencies dependencies_;
  const Complete complete_;
};

}  // namespace distill::server
