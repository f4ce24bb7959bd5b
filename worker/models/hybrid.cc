// Chains meta stages and a module.
#include "worker/models/hybrid.h"

#include "base/check.h"

namespace distill::models {
namespace {

void SetGradients(const VitStage& stage, bool wanted) {
  for (torch::Tensor& parameter : stage->parameters()) parameter.set_requires_grad(wanted);
}

}  // namespace

void Freeze(const VitStage& stage) { SetGradients(stage, false); }

void Unfreeze(const VitStage& stage) { SetGradients(stage, true); }

void Freeze(const StagedModel& model) {
  for (const VitStage& stage : model.stages()) Freeze(stage);
}

torch::Tensor PrefixOutput(const StagedModel& meta, int64_t index, const torch::Tensor& pixels,
                           const ForwardContext& context) {
  return ExtendPrefix(meta, 0, index, pixels, context);
}

torch::Tensor ExtendPrefix(const StagedModel& meta, int64_t first, int64_t last,
                           const torch::Tensor& input, const ForwardContext& context) {
  const torch::NoGradGuard no_gradient;
  return meta.ForwardStages(input, first, last, context);
}

torch::Tensor HybridLogits(const StagedModel& meta, int64_t index, const Network& module,
                           const torch::Tensor& prefix_output, const ForwardContext& context) {
  DISTILL_CHECK(0 <= index && index < meta.stage_count(), "a hybrid replaces a stage of the meta");
  const torch::Tensor output = module.Forward(prefix_output, context.At(index));
  return meta.ForwardStages(output, index + 1, meta.stage_count(), context);
}

torch::Tensor HybridLogits(const StagedModel& meta, int64_t index, const VitStage& module,
                           const torch::Tensor& prefix_output, const ForwardContext& context) {
  return HybridLogits(meta, index, StageNetwork(module), prefix_output, context);
}

torch::Tensor TeacherLogits(const StagedModel& meta, int64_t index, const VitStage& teacher,
                            const torch::Tensor& prefix_output) {
  const torch::NoGradGuard no_gradient;
  return HybridLogits(meta, index, teacher, prefix_output, ForwardContext());
}

}  // namespace distill::models
