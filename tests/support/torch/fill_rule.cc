// Fills tensors with sines.
#include "tests/support/torch/fill_rule.h"

#include <algorithm>

#include "absl/strings/match.h"

namespace distill {
namespace {

// Weights with one dimension belong to layer norms; all other weights have two or more.
bool IsNormWeight(const models::NamedTensor& parameter) {
  return absl::EndsWith(parameter.name, "weight") && parameter.tensor.dim() == 1;
}

}  // namespace

void FillByRule(std::vector<models::NamedTensor> parameters, double amplitude,
                const std::function<std::string(std::string)>& rename) {
  const torch::NoGradGuard no_gradient;
  if (rename != nullptr) {
    for (models::NamedTensor& parameter : parameters) parameter.name = rename(parameter.name);
  }
  std::sort(parameters.begin(), parameters.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  for (size_t k = 0; k < parameters.size(); ++k) {
    torch::Tensor& tensor = parameters[k].tensor;
    torch::Tensor values = torch::arange(tensor.numel(), torch::kDouble)
                               .mul(0.7)
                               .add(1.3 * static_cast<double>(k))
                               .sin()
                               .mul(amplitude);
    if (IsNormWeight(parameters[k])) values += 1.0;
    tensor.copy_(values.view(tensor.sizes()));
  }
}

torch::Tensor SineInput(torch::IntArrayRef shape, double frequency, torch::ScalarType type) {
  const int64_t count = c10::multiply_integers(shape);
  return torch::arange(count, torch::kDouble).mul(frequency).sin().view(shape).to(type);
}

}  // namespace distill
