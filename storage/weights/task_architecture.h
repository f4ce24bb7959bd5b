// What network an artifact is of, from the task that made it.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "distill/v1/architecture.pb.h"
#include "distill/v1/task.pb.h"

namespace distill::storage {

// Describes output `output` ("model", "module", "stage.2") of a task with this (resolved) spec.
// Errors: kInvalidArgument when that output is no network.
absl::StatusOr<v1::ArchitectureDescription> ArchitectureOfOutput(const v1::TaskSpec& spec,
                                                                 const std::string& output);

}  // namespace distill::storage
