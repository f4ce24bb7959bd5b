// Predicts how much memory a trainer needs for a task, so that tasks go only where they fit.
#pragma once

#include <cstdint>

#include "distill/v1/task.pb.h"

namespace distill::server {

// Bytes that a trainer is expected to need at its peak when it runs the task alone: the program,
// parameters, gradients and moments, activations of one micro-batch, and images held in memory.
// Meant to be within a quarter of what is measured; the report sets the two side by side.
int64_t PredictMemoryBytes(const v1::TaskSpec& task);

}  // namespace distill::server
