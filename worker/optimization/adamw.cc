// The optimiser: one fused pass over each parameter on the CPU, tensor operations elsewhere.
#include "worker/optimization/adamw.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

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

AdamW::AdamW(std::vector<models::NamedTensor> parameters, const AdamWConfig& config)
    : Optimizer(std::move(parameters)), config_(config) {
  const torch::NoGradGuard no_gradient;
  for (const models::NamedTensor& entry : this->parameters()) {
    slots_.push_back({torch::zeros_like(entry.tensor, torch::MemoryFormat::Contiguous),
                      torch::zeros_like(entry.tensor, torch::MemoryFormat::Contiguous),
                      Decays(entry.name, entry.tensor, config) ? config.weight_decay : 0.0});
  }
}

void AdamW::Step(double lr) {
  const torch::NoGradGuard no_gradient;
  for (size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    const torch::Tensor& parameter = parameters()[i].tensor;
    if (!parameter.grad().defined()) continue;
    ++slot.step;
    const double t = static_cast<double>(slot.step);
    const Update update = {1.0 - lr * slot.decay,
                           lr / (1.0 - std::pow(config_.beta1, t)),
                           std::sqrt(1.0 - std::pow(config_.beta2, t)),
                           config_.beta1,
                           config_.beta2,
                           config_.epsilon};
    const torch::Tensor gradient = parameter.grad().contiguous();
    const bool direct = parameter.device().is_cpu() && parameter.is_contiguous();
    if (direct && parameter.scalar_type() == torch::kFloat) {
      UpdateOnCpu<float>(update, gradient, parameter, slot.mean, slot.variance);
    } else if (direct && parameter.scalar_type() == torch::kDouble) {
      UpdateOnCpu<double>(update, gradient, parameter, slot.mean, slot.variance);
    } else {
      UpdateTensor(update, gradient, parameter, slot.mean, slot.variance);
    }
  }
}

std::vector<models::NamedTensor> AdamW::ExportState() const {
  std::vector<models::NamedTensor> state;
  for (size_t i = 0; i < slots_.size(); ++i) {
    const std::string& name = parameters()[i].name;
    state.push_back({absl::StrCat("exp_avg.", name), slots_[i].mean.clone()});
    state.push_back({absl::StrCat("exp_avg_sq.", name), slots_[i].variance.clone()});
    state.push_back(
        {absl::StrCat("step.", name), torch::scalar_tensor(slots_[i].step, torch::kLong)});
  }
  return state;
}

void AdamW::RestoreState(const models::StateMap& state) {
  for (size_t i = 0; i < slots_.size(); ++i) {
    const std::string& name = parameters()[i].name;
    slots_[i].mean.copy_(state.at(absl::StrCat("exp_avg.", name)));
    slots_[i].variance.copy_(state.at(absl::StrCat("exp_avg_sq.", name)));
    slots_[i].step = state.at(absl::StrCat("step.", name)).item<int64_t>();
  }
}

}  // namespace distill::optimization
