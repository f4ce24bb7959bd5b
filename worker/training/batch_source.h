// The batches of a training run as tensors: loaded, augmented and mixed once for all members of a
// lease set. What a step sees is a function of the task's seed and the step alone.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "distill/v1/task.pb.h"
#include "worker/data/batch_loader.h"
#include "worker/training/gang_place.h"
#include "worker/training/task_images.h"
#include "worker/training/training_plan.h"

namespace distill::training {

struct TrainingBatch {
  torch::Tensor images;   // float32 [B, C, H, W], normalised; or features [B, D]
  torch::Tensor targets;  // float32 [B, K], each row sums to 1
};

// One thread.
class BatchSource {
 public:
  virtual ~BatchSource() = default;

  // The next micro-batch; the plan says how many there are. Its tensors are valid until the next
  // call.
  virtual absl::StatusOr<TrainingBatch> Next() = 0;

  // How long Next() has waited for data.
  virtual absl::Duration time_waited() const = 0;
};

// Batches of images.
class ImageBatches : public BatchSource {
 public:
  // Starts at step `first_step` of `plan`. Of each micro-batch, makes the rows of `place`. `clock`
  // outlives the source.
  static absl::StatusOr<std::unique_ptr<ImageBatches>> Create(
      const v1::TaskSpec& spec, const TaskImages& images, const TrainingPlan& plan,
      int64_t first_step, const GangPlace& place, const Clock& clock);

  absl::StatusOr<TrainingBatch> Next() override;
  absl::Duration time_waited() const override { return loader_->time_waited(); }

 private:
  ImageBatches(const v1::TaskSpec& spec, int64_t classes, int64_t rows,
               std::unique_ptr<data::BatchLoader> loader, int64_t first_micro_batch);

  const v1::TrainingRecipe recipe_;
  const uint64_t seed_;
  const int64_t classes_;
  const int64_t rows_;  // Of a micro-batch; those that they are mixed with may follow.
  const std::unique_ptr<data::BatchLoader> loader_;
  int64_t micro_batch_;
  data::Batch current_;  // Owns the memory of the batch handed out last.
};

// The order in which a task visits its training images.
data::SamplerConfig SamplerOf(const v1::TaskSpec& spec);

}  // namespace distill::training
