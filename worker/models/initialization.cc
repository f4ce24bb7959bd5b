// Draws first values of weights.
#include "worker/models/initialization.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/match.h"
#include "worker/models/state.h"

namespace distill::models {
namespace {

constexpr float kDeviation = 0.02f;
constexpr float kCut = 2.0f;

torch::Tensor TruncatedNormal(torch::IntArrayRef shape, CounterRandom random) {
  torch::Tensor values = torch::empty(shape, torch::kFloat);
  random.FillNormal(values.data_ptr<float>(), static_cast<size_t>(values.numel()));
  return values.mul_(kDeviation).clamp_(-kCut, kCut);
}

torch::Tensor Uniform(torch::IntArrayRef shape, double bound, CounterRandom random) {
  torch::Tensor values = torch::empty(shape, torch::kFloat);
  random.FillUniform(values.data_ptr<float>(), static_cast<size_t>(values.numel()));
  return values.mul_(2.0).sub_(1.0).mul_(bound);
}

torch::Tensor FirstValue(const NamedTensor& parameter, const StageConfig& config,
                         const CounterRandom& random, ExpertInitialization experts) {
  const std::string& name = parameter.name;
  const torch::IntArrayRef shape = parameter.tensor.sizes();
  const bool is_bias = absl::EndsWith(name, ".bias");
  const CounterRandom stream = random.Stream(name);
  if (absl::StartsWith(name, "patch_embed.")) {
    const int64_t fan_in = config.vit.channels * config.vit.patch_size * config.vit.patch_size;
    return Uniform(shape, 1.0 / std::sqrt(static_cast<double>(fan_in)), stream);
  }
  if (is_bias || absl::EndsWith(name, ".w_noise")) return torch::zeros(shape);
  if (absl::StrContains(name, ".moe.experts.")) {  // [1, out, in]
    const int64_t fan_in =
        experts == ExpertInitialization::kReference ? shape[1] * shape[2] : shape[2];
    return Uniform(shape, 1.0 / std::sqrt(static_cast<double>(fan_in)), stream);
  }
  if (shape.size() == 1) return torch::ones(shape);  // LayerNorm weights: linear ones have two
  return TruncatedNormal(shape, stream);
}

}  // namespace

void Initialize(const VitStage& stage, const CounterRandom& random, ExpertInitialization experts) {
  const torch::NoGradGuard no_gradient;
  for (NamedTensor& parameter : ExportState(stage)) {
    parameter.tensor.copy_(FirstValue(parameter, stage->config(), random, experts));
  }
}

void Initialize(const StagedModel& model, const CounterRandom& random,
                ExpertInitialization experts) {
  for (int64_t s = 0; s < model.stage_count(); ++s) {
    Initialize(model.stages()[static_cast<size_t>(s)], random.Stream(static_cast<uint64_t>(s)),
               experts);
  }
}

}  // namespace distill::models
