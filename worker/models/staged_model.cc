// Builds chains of stages and runs slices of them.
#include "worker/models/staged_model.h"

#include "base/check.h"
#include "base/status_macros.h"

namespace distill::models {
namespace {

std::vector<VitStage> BuildStages(const std::vector<StageConfig>& configs) {
  std::vector<VitStage> stages;
  for (const StageConfig& config : configs) stages.push_back(VitStage(config));
  return stages;
}

}  // namespace

absl::StatusOr<StagedModel> StagedModel::Create(const VitConfig& config) {
  DISTILL_ASSIGN_OR_RETURN(const std::vector<StageConfig> configs, StagesOf(config));
  return StagedModel(BuildStages(configs));
}

absl::StatusOr<StagedModel> StagedModel::Create(const VmoeConfig& config) {
  DISTILL_ASSIGN_OR_RETURN(const std::vector<StageConfig> configs, StagesOf(config));
  return StagedModel(BuildStages(configs));
}

torch::Tensor StagedModel::Forward(const torch::Tensor& x, const ForwardContext& context) const {
  return ForwardStages(x, 0, stage_count(), context);
}

void StagedModel::MoveTo(const torch::Device& device) const {
  for (const VitStage& stage : stages_) {
    if (!stage.is_empty()) stage.ptr()->to(device);
  }
}

torch::Tensor StagedModel::ForwardStages(torch::Tensor x, int64_t first, int64_t last,
                                         const ForwardContext& context) const {
  DISTILL_CHECK(0 <= first && first <= last && last <= stage_count(),
                "a slice must lie within the chain");
  for (int64_t s = first; s < last; ++s) {
    VitStage stage = stages_[static_cast<size_t>(s)];
    x = stage->forward(x, context.At(s));
  }
  return x;
}

}  // namespace distill::models
