// Nesterov momentum.
#include "worker/optimization/sgd.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace distill::optimization {

Sgd::Sgd(std::vector<models::NamedTensor> parameters, const SgdConfig& config)
    : Optimizer(std::move(parameters)), momentum_(config.momentum) {
  const torch::NoGradGuard no_gradient;
  for (const models::NamedTensor& entry : this->parameters()) {
    slots_.push_back({torch::zeros_like(entry.tensor, torch::MemoryFormat::Contiguous),
                      Decays(entry.name, entry.tensor, config) ? config.weight_decay : 0.0});
  }
}

void Sgd::Step(double lr) {
  const torch::NoGradGuard no_gradient;
  for (size_t i = 0; i < slots_.size(); ++i) {
    torch::Tensor parameter = parameters()[i].tensor;
    Slot& slot = slots_[i];
    if (!parameter.grad().defined()) continue;
    ++slot.step;
    const torch::Tensor gradient =
        slot.decay == 0.0 ? parameter.grad() : parameter.grad() + slot.decay * parameter;
    slot.momentum.mul_(momentum_).add_(gradient);
    parameter.sub_(gradient + momentum_ * slot.momentum, lr);
  }
}

std::vector<models::NamedTensor> Sgd::ExportState() const {
  std::vector<models::NamedTensor> state;
  for (size_t i = 0; i < slots_.size(); ++i) {
    const std::string& name = parameters()[i].name;
    state.push_back({absl::StrCat("momentum.", name), slots_[i].momentum.clone()});
    state.push_back(
        {absl::StrCat("step.", name), torch::scalar_tensor(slots_[i].step, torch::kLong)});
  }
  return state;
}

void Sgd::RestoreState(const models::StateMap& state) {
  for (size_t i = 0; i < slots_.size(); ++i) {
    const std::string& name = parameters()[i].name;
    slots_[i].momentum.copy_(state.at(absl::StrCat("momentum.", name)));
    slots_[i].step = state.at(absl::StrCat("step.", name)).item<int64_t>();
  }
}

}  // namespace distill::optimization
