// Runs FIT_PRIOR tasks: the graph of a prior, the mediators' signatures fitted to it, what they
// make of it, and its picture.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "distill/v1/trainer.pb.h"
#include "worker/training/training_environment.h"

namespace distill::training {

// Outputs "signatures" (float32 [n, D], and "graph", uint8 [n, n]), "connectivity" and "affinity".
// Asks the observer between steps of the fit, and returns kCancelled when it is to end.
// kInvalidArgument names the parameter of the prior that does not fit.
absl::StatusOr<std::vector<v1::ProducedFile>> FitPrior(const v1::MemberAssignment& assignment,
                                                       const TrainingEnvironment& environment);

}  // namespace distill::training
