// Measures one network: accuracy and loss on the whole test set, accuracy under corruptions on one
// subset of it, and how a mixture of experts spreads its tokens. Every image counts once; the
// result depends on weights, images and the evaluation's seed alone.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "distill/v1/trainer.pb.h"
#include "worker/training/lockstep_trainer.h"

namespace distill::training {

// Runs an EVALUATE task. Asks the observer between batches, and returns kCancelled when it is to
// end. Errors otherwise: those of the inputs and the data set.
absl::StatusOr<v1::EvaluationResult> Evaluate(const v1::MemberAssignment& assignment,
                                              const TrainingEnvironment& environment);

// The JSON form of a metrics artifact: keys sorted, all fields present, fractions rounded to 8
// digits, a newline at the end. Equal results have equal bytes.
std::string CanonicalJson(const v1::EvaluationResult& result);

}  // namespace distill::training
