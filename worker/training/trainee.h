// A network under training together with all that its loss needs: a whole model, or one module in
// its hybrid, with or without a teacher. Knows nothing of data loading, optimisers or time.
//
// Legend: B batch, K classes, C channels, T tokens, D width.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "distill/v1/task.pb.h"
#include "distill/v1/trainer.pb.h"
#include "worker/models/hybrid.h"
#include "worker/models/network.h"
#include "worker/models/staged_model.h"
#include "worker/optimization/losses.h"
#include "worker/training/tensor_file.h"

namespace distill::training {

// Scalars. Only `total` carries a gradient that anyone uses.
struct LossTerms {
  // Of all that follows, and of what layers and regularisers of the network add.
  torch::Tensor total;
  // Undefined unless there is a teacher.
  torch::Tensor cross_entropy;
  torch::Tensor distillation;
  // What layers and regularisers add, before it is weighed.
  std::vector<models::AuxiliaryLoss> added;
  // Shares of images whose largest logit is that of the class with the largest target; float64. The
  // teacher's is undefined unless there is one.
  torch::Tensor accuracy;
  torch::Tensor teacher_accuracy;
};

// One thread.
class Trainee {
 public:
  // Builds the network of a training task, with first weights from the task's seed or loaded from
  // its inputs, to compute on `device`. `meta` is the frozen meta model that hybrids of one lease
  // set share, on the same device; null for tasks without. Errors: those of model_builder.h;
  // kInvalidArgument for a missing input.
  static absl::StatusOr<Trainee> Create(const v1::MemberAssignment& assignment,
                                        std::shared_ptr<const models::StagedModel> meta,
                                        const torch::Device& device = torch::kCPU);

  // How many meta stages run on the images before this network does.
  int64_t prefix_stages() const { return meta_ == nullptr ? 0 : module_index_; }

  // The loss on a batch at `moment`. `input`: output of the prefix, tokens [B, T, D] or pixels
  // [B, C, H, W], or the features [B, D] of an episode that keeps them; `targets` [B, K]. Forward
  // passes run under autocast as the task's recipe says, losses in float32 or wider.
  LossTerms Loss(const torch::Tensor& input, const torch::Tensor& targets,
                 const models::ForwardContext& context, const models::TrainingMoment& moment) const;

  // What is trained; shares memory with the network.
  std::vector<models::NamedTensor> TrainedParameters() const;
  // The network's part of a checkpoint: its weights, and what only a run needs; copies.
  NamedTensors State() const;
  NamedTensors RunState() const;
  // All-or-nothing for the weights; names and shapes as State and RunState give them.
  absl::Status Restore(const NamedTensors& state, const NamedTensors& run_state);

  // The result artifact, and the name of its output.
  TensorFile Export() const;
  std::string output_name() const;

  const models::Network& network() const { return *network_; }
  int64_t trained_parameter_count() const;
  // Frozen ones included.
  int64_t parameter_count() const;

 private:
  Trainee() = default;
  torch::Tensor Logits(const torch::Tensor& input, const models::ForwardContext& context) const;
  // Undefined without teacher.
  torch::Tensor TeacherLogits(const torch::Tensor& input) const;

  v1::TaskKind kind_ = v1::TASK_KIND_UNSPECIFIED;
  v1::Precision precision_ = v1::PRECISION_FLOAT32;
  int64_t module_index_ = 0;
  bool takes_features_ = false;
  // The whole model, or the module.
  std::unique_ptr<models::Network> network_;
  // Shared by the members of a lease set; null for whole models.
  std::shared_ptr<const models::StagedModel> meta_;
  // A stage, of a module's hybrid, or a whole model. Frozen; null without teacher.
  std::unique_ptr<models::Network> teacher_;
  optimization::DistillationConfig distillation_;
};

// Whether tasks of this kind train at all, and whether they do so inside a frozen meta model.
bool IsTraining(v1::TaskKind kind);
bool IsHybrid(v1::TaskKind kind);

// The path of an input. kInvalidArgument when the task lacks it.
absl::StatusOr<std::string> InputPath(const v1::MemberAssignment& assignment,
                                      absl::string_view name);

}  // namespace distill::training
