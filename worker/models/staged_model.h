// A chain of stages: a whole model, or a student module as a chain of one. Any slice of it can be
// run, which is what hybrids are made from (hybrid.h).
#pragma once

#include <torch/torch.h>

#include <vector>

#include "absl/status/statusor.h"
#include "worker/models/forward_context.h"
#include "worker/models/model_config.h"
#include "worker/models/stage.h"

namespace distill::models {

class StagedModel {
 public:
  // Errors: kInvalidArgument naming the wrong field of `config`.
  static absl::StatusOr<StagedModel> Create(const VitConfig& config);
  static absl::StatusOr<StagedModel> Create(const VmoeConfig& config);
  // The chain of given stages, which need not come from one configuration.
  explicit StagedModel(std::vector<VitStage> stages) : stages_(std::move(stages)) {}

  // The whole chain.
  torch::Tensor Forward(const torch::Tensor& x, const ForwardContext& context) const;
  // Stages [first, last). The stage at position s draws from context.At(s), so a slice draws the
  // same numbers as the whole. Requires 0 <= first <= last <= stages().size().
  torch::Tensor ForwardStages(torch::Tensor x, int64_t first, int64_t last,
                              const ForwardContext& context) const;

  // Computes on `device` from now on. Stages are shared between copies, and so is this.
  void MoveTo(const torch::Device& device) const;

  const std::vector<VitStage>& stages() const { return stages_; }
  int64_t stage_count() const { return static_cast<int64_t>(stages_.size()); }

 private:
  std::vector<VitStage> stages_;
};

}  // namespace distill::models
