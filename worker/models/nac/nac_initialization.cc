// Draws first values of a NAC's weights.
#include "worker/models/nac/nac_initialization.h"

#include <cmath>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "worker/models/nac/nac_state.h"

namespace distill::models {
namespace {

constexpr double kDeviation = 0.02;
constexpr double kCut = 2.0;
constexpr double kLogVarianceBias = -5.0;

torch::Tensor Normal(torch::IntArrayRef shape, CounterRandom random) {
  torch::Tensor values = torch::empty(shape, torch::kFloat);
  random.FillNormal(values.data_ptr<float>(), static_cast<size_t>(values.numel()));
  return values;
}

torch::Tensor Uniform(torch::IntArrayRef shape, int64_t fan_in, CounterRandom random) {
  torch::Tensor values = torch::empty(shape, torch::kFloat);
  random.FillUniform(values.data_ptr<float>(), static_cast<size_t>(values.numel()));
  return values.mul_(2.0).sub_(1.0).mul_(1.0 / std::sqrt(static_cast<double>(fan_in)));
}

bool IsStandardNormal(absl::string_view name) {
  return name == "codes" || name == "states" || absl::EndsWith(name, ".codes_") ||
         absl::EndsWith(name, ".signatures_") || absl::EndsWith(name, "positional_grid.grid");
}

// Linear layers that start as PyTorch's own do.
bool IsPlainLinear(absl::string_view name) {
  return absl::StrContains(name, "code_to_state_") || absl::StrContains(name, "stitch_pairs.") ||
         absl::StrContains(name, "confidence_scorer.") || absl::StrContains(name, "to_logits.") ||
         absl::StartsWith(name, "pre_stitch.") || absl::StartsWith(name, "post_stitch.");
}

// `constant` is what the constructor of the network gives the parameter.
torch::Tensor FirstValue(const std::string& name, const torch::Tensor& constant,
                         const StateMap& state, const CounterRandom& random) {
  const torch::IntArrayRef shape = constant.sizes();
  const CounterRandom stream = random.Stream(name);
  if (IsStandardNormal(name)) return Normal(shape, stream);
  if (IsPlainLinear(name)) {
    if (absl::EndsWith(name, "code_to_state_logvar.bias")) {
      return torch::full(shape, kLogVarianceBias);
    }
    const std::string weight =
        absl::StrCat(absl::StripSuffix(absl::StripSuffix(name, "bias"), "weight"), "weight");
    return Uniform(shape, state.at(weight).size(1), stream);
  }
  if (absl::EndsWith(name, "native_weight") || absl::EndsWith(name, ".scale.weight")) {
    return Uniform(shape, shape[1], stream);
  }
  if (shape.size() > 1) return Normal(shape, stream).mul_(kDeviation).clamp_(-kCut, kCut);
  return constant;
}

void InitializeFrom(const std::vector<NamedTensor>& targets, const std::vector<NamedTensor>& fresh,
                    const CounterRandom& random) {
  const torch::NoGradGuard no_gradient;
  const StateMap constants = ToMap(fresh);
  for (const NamedTensor& target : targets) {
    torch::Tensor(target.tensor)
        .copy_(FirstValue(target.name, constants.at(target.name), constants, random));
  }
}

}  // namespace

void Initialize(const Nac& nac, const CounterRandom& random) {
  InitializeFrom(ExportState(nac), ExportState(Nac(nac->config())), random);
}

void Initialize(const NacModule& module, const CounterRandom& random) {
  InitializeFrom(ExportState(module), ExportState(NacModule(module->config())), random);
}

}  // namespace distill::models
