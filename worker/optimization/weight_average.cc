// Keeps the average of weights.
#include "worker/optimization/weight_average.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace distill::optimization {

WeightAverage::WeightAverage(std::vector<models::NamedTensor> parameters, double decay)
    : decay_(decay), parameters_(std::move(parameters)) {
  DISTILL_CHECK(0 <= decay && decay < 1, "the decay of an average is in [0, 1)");
  for (const models::NamedTensor& entry : parameters_) {
    averages_.push_back(entry.tensor.detach().clone());
  }
}

void WeightAverage::Update() {
  const torch::NoGradGuard no_gradient;
  for (size_t i = 0; i < averages_.size(); ++i) {
    averages_[i].mul_(decay_).add_(parameters_[i].tensor, 1.0 - decay_);
  }
}

void WeightAverage::Exchange() {
  const torch::NoGradGuard no_gradient;
  for (size_t i = 0; i < averages_.size(); ++i) {
    torch::Tensor parameter = parameters_[i].tensor;
    const torch::Tensor kept = parameter.detach().clone();
    parameter.copy_(averages_[i]);
    averages_[i].copy_(kept);
  }
}

std::vector<models::NamedTensor> WeightAverage::ExportState() const {
  std::vector<models::NamedTensor> state;
  for (size_t i = 0; i < averages_.size(); ++i) {
    state.push_back({parameters_[i].name, averages_[i].clone()});
  }
  return state;
}

absl::Status WeightAverage::ImportState(const models::StateMap& state) {
  bool fits = state.size() == averages_.size();
  for (size_t i = 0; fits && i < averages_.size(); ++i) {
    const auto found = state.find(parameters_[i].name);
    fits = found != state.end() && found->second.sizes() == averages_[i].sizes();
  }
  if (!fits) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot restore the average of weights: it is of other parameters; tensors=", state.size(),
        " wanted=", averages_.size()));
  }
  const torch::NoGradGuard no_gradient;
  for (size_t i = 0; i < averages_.size(); ++i) {
    averages_[i].copy_(state.at(parameters_[i].name));
  }
  return absl::OkStatus();
}

}  // namespace distill::optimization
