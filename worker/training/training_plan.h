// Lays a recipe out over steps: how many there are, which batches each takes, and at which rate it
// learns. A pure function of the task and the number of training images.
//
// A micro-batch is what one forward pass takes; a step is `accumulate_steps` of them. Micro-batches
// are counted through all epochs, and an epoch ends with its last full one.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "distill/v1/model.pb.h"

namespace distill::training {

class TrainingPlan {
 public:
  // kInvalidArgument names the field of the recipe that is missing or does not fit the images.
  static absl::StatusOr<TrainingPlan> Create(const v1::TrainingRecipe& recipe,
                                             int64_t training_images);

  int64_t total_steps() const { return total_steps_; }
  int64_t batch_size() const { return batch_size_; }
  int64_t micro_batches_per_step() const { return accumulate_steps_; }
  int64_t images_per_step() const { return batch_size_ * accumulate_steps_; }

  // Where step `step` (counted from 0) begins.
  int64_t FirstMicroBatch(int64_t step) const { return step * accumulate_steps_; }
  int64_t EpochOf(int64_t micro_batch) const { return micro_batch / batches_per_epoch_; }
  int64_t PlaceInEpoch(int64_t micro_batch) const { return micro_batch % batches_per_epoch_; }
  // The epoch before which the run ends.
  int64_t end_epoch() const;

  // The rate of step `step`, counted from 0.
  double LearningRate(int64_t step) const;

  // The share of the run, 0 to 1, that is done before this step: of its steps, or of its epochs
  // where the recipe's schedule counts these.
  double Progress(int64_t step) const;

 private:
  explicit TrainingPlan(const v1::TrainingRecipe& recipe) : recipe_(recipe) {}
  double steps_per_epoch() const;

  v1::TrainingRecipe recipe_;
  int64_t batch_size_ = 1;
  int64_t accumulate_steps_ = 1;
  int64_t batches_per_epoch_ = 1;
  int64_t total_steps_ = 0;
};

}  // namespace distill::training
