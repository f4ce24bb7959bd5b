// Decides whether a job makes sense before a second of training is spent: bounds of every number,
// and what must fit together (depths, widths, patches, names, data set).
#pragma once

#include "absl/status/status.h"
#include "distill/v1/job.pb.h"
#include "server/planner/defaults.h"

namespace distill::server {

// Checks a spec that went through ResolveDefaults; what only the data set's files tell is checked
// by ValidateDatasets. kInvalidArgument names each wrong field by its path in the job file, with
// what it is, what it should be and a remedy.
absl::Status ValidateJobSpec(const v1::JobSpec& resolved);

// Checks a spec that went through ResolveDatasets with `infos` against the data sets.
absl::Status ValidateDatasets(const v1::JobSpec& complete, const JobDatasets& infos);

}  // namespace distill::server
