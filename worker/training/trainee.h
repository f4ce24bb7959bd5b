// A network under training together with all that its loss needs: a whole model, or one module in
// its hybrid, with or without a teacher. Knows nothing of data loading, optimisers or time.
//
// Legend: B batch, K classes, C channels, T tokens, D width.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "distill/v1/task.pb.h"
#include "distill/v1/trainer.pb.h"
#include "worker/models/hybrid.h"
#include "worker/models/staged_model.h"
#include "worker/optimization/losses.h"
#include "worker/training/tensor_file.h"

namespace distill::training {

// Scalars. Only `total` carries a gradient that anyone uses.
struct LossTerms {
  torch::Tensor total;
  // Undefined unless there is a teacher.
  torch::Tensor cross_entropy;
  torch::Tensor distillation;
};

// One thread.
class Trainee {
 public:
  // Builds the network of a training task, with first weights from the task's seed or loaded from
  // its inputs. `meta` is the frozen meta model that hybrids of one lease set share; null for
  // tasks without. Errors: those of model_builder.h; kInvalidArgument for a missing input.
  static absl::StatusOr<Trainee> Create(const v1::MemberAssignment& assignment,
                                        std::shared_ptr<const models::StagedModel> meta);

  // How many meta stages run on the images before this network does.
  int64_t prefix_stages() const { return meta_ == nullptr ? 0 : module_index_; }

  // The loss on a batch. `input`: output of the prefix, tokens [B, T, D] or pixels [B, C, H, W];
  // `targets` [B, K].
  LossTerms Loss(const torch::Tensor& input, const torch::Tensor& targets,
                 const models::ForwardContext& context) const;

  // What is trained, by the names of the file it is written to; shares memory with the network.
  std::vector<models::NamedTensor> TrainedParameters() const;
  // All-or-nothing; names and shapes as TrainedParameters.
  absl::Status Restore(const NamedTensors& parameters);

  // The result artifact, and the name of its output.
  TensorFile Export() const;
  std::string output_name() const;

  int64_t trained_parameter_count() const;
  // Frozen ones included.
  int64_t parameter_count() const;

 private:
  Trainee() : model_(std::vector<models::VitStage>()) {}

  v1::TaskKind kind_ = v1::TASK_KIND_UNSPECIFIED;
  int64_t module_index_ = 0;
  // The whole model, or a chain of one: the module.
  models::StagedModel model_;
  // Shared by the members of a lease set; null for whole models.
  std::shared_ptr<const models::StagedModel> meta_;
  models::VitStage teacher_{nullptr};
  optimization::DistillationConfig distillation_;
};

// Whether tasks of this kind train at all, and whether they do so inside a frozen meta model.
bool IsTraining(v1::TaskKind kind);
bool IsHybrid(v1::TaskKind kind);

// The path of an input. kInvalidArgument when the task lacks it.
absl::StatusOr<std::string> InputPath(const v1::MemberAssignment& assignment,
                                      absl::string_view name);

}  // namespace distill::training
