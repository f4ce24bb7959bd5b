// Changes to a job that are given on the command line: `--override distillation.tau=2` replaces one
// field, `--sweep distillation.tau=1,2,4` makes one job for each value.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "distill/v1/job.pb.h"

namespace distill::client {

// Replaces the field that "path=value" names; the value is written as in a YAML job file, so
// "evaluation.severities=[1, 3]", "few_shot[0].shots=5" and "student.vit={depth: 4}" work too. A
// value for one architecture of the student drops the other. On error `spec` is unchanged and the
// message starts with `flag`. Errors: kInvalidArgument.
absl::Status ApplyOverride(absl::string_view flag, absl::string_view assignment, v1::JobSpec* spec);

// One job of a sweep.
struct SweepPoint {
  // "distillation.tau=2 seed=1"; empty when nothing is swept.
  std::string label;
  v1::JobSpec spec;
};

inline constexpr size_t kMaxSweepPoints = 1000;

// Returns the product of all sweeps, the last one varying fastest; `spec` alone when there are
// none. Each job's display name gains its label. Commas inside brackets do not part values. Errors:
// kInvalidArgument; kResourceExhausted for more than kMaxSweepPoints jobs.
absl::StatusOr<std::vector<SweepPoint>> ExpandSweeps(const v1::JobSpec& spec,
                                                     const std::vector<std::string>& sweeps);

}  // namespace distill::client
