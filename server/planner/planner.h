// Turns a job into its graph of tasks: a pure function of the spec, so that what a job will do, and
// which of it was done before, is known before anything is stored.
//
//   pretrain-meta -> incubate-teacher-i -> assemble-teacher -> finetune-teacher -> split-teacher
//                 '-> distill-module-i (with stage i) -> assemble-student -> finetune-student
//   fit-prior (NAC) -> assemble-student; finetune-student -> few-shot-*
//   and evaluate-* of every model on the way; baseline-b* depend on little.
// With a quality gate a module goes through its candidates first:
//   distill-module-i -> evaluate-student-hybrid-i -> distill-module-i-candidate-1 -> ...
//                    -> select-module-i -> assemble-student
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/digest.h"
#include "distill/v1/job.pb.h"
#include "distill/v1/task.pb.h"

namespace distill::server {

struct PlannedTask {
  std::string name;  // Within the job: "distill-module-2".
  v1::TaskSpec spec;
  std::vector<std::string> depends_on;  // Names of the producers of its inputs, each once.
  Digest key;
  // Tasks of one group may share a trainer; empty: runs alone.
  std::string bundle_group;
  int64_t predicted_memory_bytes = 0;
};

struct JobPlan {
  v1::JobSpec spec;
  std::vector<PlannedTask> tasks;  // Producers before consumers.
};

// Plans `complete`, which went through ResolveDefaults, ResolveDatasets and their checks and has a
// numeric class. `job_scope` is the job's id: it enters the keys of jobs of class "any", whose
// results may not be shared. kInvalidArgument names what is missing.
absl::StatusOr<JobPlan> Plan(const v1::JobSpec& complete, absl::string_view job_scope);

// Name of the phase that a task counts towards in a report: "pretrain meta", "evaluate", ...
std::string PhaseLabel(const v1::TaskSpec& spec);

}  // namespace distill::server
