// Weight decay rule, gradients and the check of restored states.
#include "worker/optimization/optimizer.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace distill::optimization {

bool Decays(const std::string& name, const torch::Tensor& parameter, const DecayConfig& config) {
  if (config.rule == DecayRule::kAll) return true;
  if (parameter.dim() < 2 || name == "bias" || absl::EndsWith(name, ".bias")) return false;
  if (config.exempt.count(name) > 0) return false;
  const size_t dot = name.rfind('.');
  return dot == std::string::npos || config.exempt.count(name.substr(dot + 1)) == 0;
}

Optimizer::Optimizer(std::vector<models::NamedTensor> parameters) {
  for (models::NamedTensor& entry : parameters) {
    if (entry.tensor.requires_grad()) parameters_.push_back(std::move(entry));
  }
}

absl::Status Optimizer::ImportState(const models::StateMap& state) {
  std::vector<std::string> faults;
  std::set<std::string> known;
  for (const models::NamedTensor& wanted : ExportState()) {
    known.insert(wanted.name);
    const auto found = state.find(wanted.name);
    if (found == state.end()) {
      faults.push_back(absl::StrCat("missing ", wanted.name));
    } else if (found->second.sizes() != wanted.tensor.sizes() ||
               found->second.scalar_type() != wanted.tensor.scalar_type()) {
      faults.push_back(absl::StrCat("shape or type of ", wanted.name));
    }
  }
  for (const auto& [name, tensor] : state) {
    if (known.count(name) == 0) faults.push_back(absl::StrCat("unexpected ", name));
  }
  if (!faults.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot restore optimiser: its state does not fit the parameters; ",
                     absl::StrJoin(faults, "; ")));
  }
  const torch::NoGradGuard no_gradient;
  RestoreState(state);
  return absl::OkStatus();
}

void Optimizer::ZeroGradients() {
  for (models::NamedTensor& entry : parameters_) entry.tensor.mutable_grad().reset();
}

torch::Tensor Optimizer::ClipGradients(double max_norm) {
  const torch::NoGradGuard no_gradient;
  std::vector<torch::Tensor> norms;
  for (const models::NamedTensor& entry : parameters_) {
    if (entry.tensor.grad().defined()) norms.push_back(entry.tensor.grad().norm());
  }
  if (norms.empty()) return torch::zeros({});
  const torch::Tensor norm = torch::stack(norms).norm();
  const torch::Tensor scale = (max_norm / (norm + 1e-6)).clamp_max(1.0);
  for (models::NamedTensor& entry : parameters_) {
    if (entry.tensor.grad().defined()) entry.tensor.mutable_grad().mul_(scale);
  }
  return norm;
}

bool Optimizer::ScaleGradients(double factor) {
  const torch::NoGradGuard no_gradient;
  std::vector<torch::Tensor> largest;
  for (models::NamedTensor& entry : parameters_) {
    if (!entry.tensor.grad().defined()) continue;
    largest.push_back(entry.tensor.mutable_grad().mul_(factor).abs().max());
  }
  return largest.empty() || torch::isfinite(torch::stack(largest)).all().item<bool>();
}

}  // namespace distill::optimization
