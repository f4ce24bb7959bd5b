// Measures one network: accuracy and loss on the whole test set, on test sets of their own,
// accuracy under corruptions on one subset, and how a mixture of experts spreads its tokens. Every
// image counts once; the result depends on weights, images and the evaluation's seed alone.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "distill/v1/trainer.pb.h"
#include "worker/models/network.h"
#include "worker/training/frozen_features.h"
#include "worker/training/task_images.h"
#include "worker/training/training_environment.h"

namespace distill::training {

// Runs an EVALUATE task. Asks the observer between batches, and returns kCancelled when it is to
// end. Errors otherwise: those of the inputs and the data set.
absl::StatusOr<v1::EvaluationResult> Evaluate(const v1::MemberAssignment& assignment,
                                              const TrainingEnvironment& environment);

// The accuracy of a whole network that a task has trained on the test images of the task.
absl::StatusOr<v1::EvaluationResult> EvaluateTrained(const v1::MemberAssignment& assignment,
                                                     const models::Network& network,
                                                     const TaskImages& images,
                                                     const TrainingEnvironment& environment);

// The same over the features of the test images; knows nothing of experts.
v1::EvaluationResult EvaluateFeatures(const models::Network& network,
                                      const FrozenFeatures& features);

// Writes the "metrics" artifact.
absl::StatusOr<v1::ProducedFile> WriteMetrics(const v1::MemberAssignment& assignment,
                                              const v1::EvaluationResult& result);

// The JSON form of a metrics artifact: keys sorted, fractions rounded to 8 digits, a newline at the
// end. Equal results have equal bytes.
std::string CanonicalJson(const v1::EvaluationResult& result);

}  // namespace distill::training
