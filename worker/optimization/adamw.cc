// The optimiser: one fused pass over each parameter on the CPU, tensor operations elsewhere.
#include "worker/optimization/adamw.h"

#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace distill::optimization {
namespace {

// The numbers of one update that are the same for all elements of a parameter.
struct Update {
  double keep;        // 1 - lr * decay
  double step_size;   // lr / (1 - beta1^t)
  double root_scale;  // sqrt(1 - beta2^t)
  double beta1, beta2, epsilon;
};

template <typename Scalar>
void UpdateElements(const Update& update, int64_t count, const Scalar* __restrict gradient,
                    Scalar* __restrict parameter, Scalar* __restrict mean,
                    Scalar* __restrict variance) {
  const Scalar keep = static_cast<Scalar>(update.keep);
  const Scalar step_size = static_cast<Scalar>(update.step_size);
  const Scalar inverse_root = static_cast<Scalar>(1.0 / update.root_scale);
  const Scalar beta1 = static_cast<Scalar>(update.beta1);
  const Scalar beta2 = static_cast<Scalar>(update.beta2);
  const Scalar rest1 = static_cast<Scalar>(1.0 - update.beta1);
  const Scalar rest2 = static_cast<Scalar>(1.0 - update.beta2);
  const Scalar epsilon = static_cast<Scalar>(update.epsilon);
  for (int64_t i = 0; i < count; ++i) {
    const Scalar g = gradient[i];
    const Scalar m = mean[i] * beta1 + g * rest1;
    const Scalar v = variance[i] * beta2 + g * g * rest2;
    mean[i] = m;
    variance[i] = v;
    parameter[i] = parameter[i] * keep - step_size * (m / (std::sqrt(v) * inverse_root + epsilon));
  }
}

void UpdateTensor(const Update& update, const torch::Tensor& gradient, torch::Tensor parameter,
                  torch::Tensor mean, torch::Tensor variance) {
  mean.mul_(update.beta1).add_(gradient, 1.0 - update.beta1);
  variance.mul_(update.beta2).addcmul_(gradient, gradient, 1.0 - update.beta2);
  parameter.mul_(update.keep);
  parameter.addcdiv_(mean, variance.sqrt().div_(update.root_scale).add_(update.epsilon),
                     -update.step_size);
}

template <typename Scalar>
void UpdateOnCpu(const Update& update, const torch::Tensor& gradient,
                 const torch::Tensor& parameter, const torch::Tensor& mean,
                 const torch::Tensor& variance) {
  UpdateElements<Scalar>(update, parameter.numel(), gradient.data_ptr<Scalar>(),
                         parameter.data_ptr<Scalar>(), mean.data_ptr<Scalar>(),
                         variance.data_ptr<Scalar>());
}

}  // namespace

bool Decays(const std::string& name, const torch::Tensor& parameter, const AdamWConfig& config) {
  if (config.rule == DecayRule::kAll) return true;
  if (parameter.dim() == 1 || name == "bias" || absl::EndsWith(name, ".bias")) return false;
  if (config.exempt.count(name) > 0) return false;
  const size_t dot = name.rfind('.');
  return dot == std::string::npos || config.exempt.count(name.substr(dot + 1)) == 0;
}

AdamW::AdamW(std::vector<models::NamedTensor> parameters, const AdamWConfig& config)
    : config_(config) {
  const torch::NoGradGuard no_gradient;
  for (models::NamedTensor& entry : parameters) {
    if (!entry.tensor.requires_grad()) continue;
    Slot slot;
    slot.mean = torch::zeros_like(entry.tensor, torch::MemoryFormat::Contiguous);
    slot.variance = torch::zeros_like(entry.tensor, torch::MemoryFormat::Contiguous);
    slot.decay = Decays(entry.name, entry.tensor, config) ? config.weight_decay : 0.0;
    slot.parameter = std::move(entry.tensor);
    slot.name = std::move(entry.name);
    slots_.push_back(std::move(slot));
  }
}

void AdamW::Step(double lr) {
  const torch::NoGradGuard no_gradient;
  for (Slot& slot : slots_) {
    if (!slot.parameter.grad().defined()) continue;
    ++slot.step;
    const double t = static_cast<double>(slot.step);
    const Update update = {1.0 - lr * slot.decay,
                           lr / (1.0 - std::pow(config_.beta1, t)),
                           std::sqrt(1.0 - std::pow(config_.beta2, t)),
                           config_.beta1,
                           config_.beta2,
                           config_.epsilon};
    const torch::Tensor gradient = slot.parameter.grad().contiguous();
    const bool direct = slot.parameter.device().is_cpu() && slot.parameter.is_contiguous();
    if (direct && slot.parameter.scalar_type() == torch::kFloat) {
      UpdateOnCpu<float>(update, gradient, slot.parameter, slot.mean, slot.variance);
    } else if (direct && slot.parameter.scalar_type() == torch::kDouble) {
      UpdateOnCpu<double>(update, gradient, slot.parameter, slot.mean, slot.variance);
    } else {
      UpdateTensor(update, gradient, slot.parameter, slot.mean, slot.variance);
    }
  }
}

void AdamW::ZeroGradients() {
  for (Slot& slot : slots_) slot.parameter.mutable_grad().reset();
}

torch::Tensor AdamW::ClipGradients(double max_norm) {
  const torch::NoGradGuard no_gradient;
  std::vector<torch::Tensor> norms;
  for (const Slot& slot : slots_) {
    if (slot.parameter.grad().defined()) norms.push_back(slot.parameter.grad().norm());
  }
  if (norms.empty()) return torch::zeros({});
  const torch::Tensor norm = torch::stack(norms).norm();
  const torch::Tensor scale = (max_norm / (norm + 1e-6)).clamp_max(1.0);
  for (const Slot& slot : slots_) {
    if (slot.parameter.grad().defined()) slot.parameter.mutable_grad().mul_(scale);
  }
  return norm;
}

std::vector<models::NamedTensor> AdamW::ExportState() const {
  std::vector<models::NamedTensor> state;
  for (const Slot& slot : slots_) {
    state.push_back({absl::StrCat("exp_avg.", slot.name), slot.mean.clone()});
    state.push_back({absl::StrCat("exp_avg_sq.", slot.name), slot.variance.clone()});
    state.push_back(
        {absl::StrCat("step.", slot.name), torch::scalar_tensor(slot.step, torch::kLong)});
  }
  return state;
}

absl::Status AdamW::ImportState(const models::StateMap& state) {
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
  for (Slot& slot : slots_) {
    slot.mean.copy_(state.at(absl::StrCat("exp_avg.", slot.name)));
    slot.variance.copy_(state.at(absl::StrCat("exp_avg_sq.", slot.name)));
    slot.step = state.at(absl::StrCat("step.", slot.name)).item<int64_t>();
  }
  return absl::OkStatus();
}

}  // namespace distill::optimization
