// The images of a few-shot episode as the classifier of a frozen network sees them. An image's
// features depend on the image and the network alone, whatever else is computed beside them, so
// that it makes no difference whether they were at hand.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "distill/v1/trainer.pb.h"
#include "worker/data/dataset.h"
#include "worker/models/network.h"
#include "worker/training/batch_source.h"
#include "worker/training/feature_cache.h"
#include "worker/training/task_images.h"
#include "worker/training/training_plan.h"

namespace distill::training {

// Images that cannot be decoded are left out where the policy of the task says so.
struct FrozenFeatures {
  torch::Tensor features;        // float32 [N, D]
  std::vector<int64_t> labels;   // [N]
  std::vector<int64_t> indices;  // [N], in the data set, ascending.
};

// Whether the task wants features that are computed once.
bool UsesFrozenFeatures(const v1::TaskSpec& spec);

// Runs the frozen part of `network`, which came from the "model" of `assignment`, in evaluation
// mode over what `cache` does not hold of `dataset`, image by image. `images` says how they are
// brought to the network. `may_go_on` is asked before each image. Errors: its own; those of the
// loader; kInvalidArgument when the model is missing or no image can be decoded.
absl::StatusOr<FrozenFeatures> ComputeFeatures(const v1::MemberAssignment& assignment,
                                               std::shared_ptr<const data::Dataset> dataset,
                                               const TaskImages& images,
                                               const models::Network& network,
                                               const std::function<absl::Status()>& may_go_on,
                                               const Clock& clock, FeatureCache& cache);

// The batches of an episode in the order in which a BatchSource of its images has them, with
// features in place of the images. One thread.
class FeatureBatches : public BatchSource {
 public:
  // `training_images`: how many there are in the data set, left out ones included. `plan` outlives
  // this.
  FeatureBatches(const v1::TaskSpec& spec, FrozenFeatures features, int64_t training_images,
                 const TrainingPlan& plan, int64_t first_step);

  absl::StatusOr<TrainingBatch> Next() override;
  absl::Duration time_waited() const override { return absl::ZeroDuration(); }

 private:
  const v1::TaskSpec spec_;
  const FrozenFeatures features_;
  const torch::Tensor labels_;         // int64 [N]
  const std::vector<int64_t> places_;  // Row of `features_` for each image of the data set.
  const TrainingPlan& plan_;
  int64_t micro_batch_;
  int64_t epoch_ = -1;  // That `order_` is of.
  std::vector<int64_t> order_;
};

}  // namespace distill::training
