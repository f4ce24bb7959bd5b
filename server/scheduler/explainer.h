// Says why tasks do not run. Looks at the fleet once for each kind of demand, so that all tasks of
// a large job can be explained at once. Internal to server/scheduler.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "server/scheduler/core_state.h"
#include "server/scheduler/explanation.h"

namespace distill::server {

// For one moment; `state` must not change meanwhile.
class Explainer {
 public:
  Explainer(const Core::State& state, MonotonicTime now) : state_(state), now_(now) {}

  // All but the workers.
  Explanation Explain(TaskRank rank);
  // What keeps the task from each worker; empty unless it is QUEUED.
  std::vector<WorkerFit> FitOfWorkers(TaskRank rank) const;

 private:
  // What the live workers are to tasks with one requirement.
  struct Fleet {
    bool any_live = false;
    bool any_fits = false;
    bool any_takes_work = false;
    bool any_quarantined = false;  // Of those that fit.
    bool any_offers = false;       // A slot, now.
    std::string unfit;             // Why one of them does not fit.
  };

  const Fleet& FleetFor(int32_t requirement);
  void ExplainInputs(const Job& job, const Task& task, Explanation& explanation) const;
  void ExplainReady(TaskRank rank, Explanation& explanation);

  const Core::State& state_;
  const MonotonicTime now_;
  std::map<int32_t, Fleet> fleets_;
};

}  // namespace distill::server
