// Linear, LayerNorm, stitches, dropout and stochastic depth.
#include "worker/models/layers.h"

#include <ATen/autocast_mode.h>

#include <cmath>

#include "worker/models/kernels/cpu_kernels.h"

namespace distill::models {
namespace {

constexpr double kStitchEpsilon = 1e-5;

template <typename Scalar>
torch::Tensor LayerNormForward(const torch::Tensor& x, const torch::Tensor& weight,
                               const torch::Tensor& bias, double epsilon,
                               torch::Tensor* statistics) {
  const int64_t columns = x.size(-1), rows = x.numel() / columns;
  torch::Tensor out = torch::empty_like(x);
  if (statistics != nullptr) *statistics = torch::empty({rows, 2}, x.options());
  kernels::ActiveKernels<Scalar>().layer_norm(
      rows, columns, epsilon, x.data_ptr<Scalar>(), weight.data_ptr<Scalar>(),
      bias.data_ptr<Scalar>(), out.data_ptr<Scalar>(),
      statistics == nullptr ? nullptr : statistics->data_ptr<Scalar>());
  return out;
}

torch::Tensor LayerNormForward(const torch::Tensor& x, const torch::Tensor& weight,
                               const torch::Tensor& bias, double epsilon,
                               torch::Tensor* statistics) {
  return x.scalar_type() == torch::kFloat
             ? LayerNormForward<float>(x, weight, bias, epsilon, statistics)
             : LayerNormForward<double>(x, weight, bias, epsilon, statistics);
}

template <typename Scalar>
void LayerNormBackward(const torch::Tensor& x, const torch::Tensor& statistics,
                       const torch::Tensor& weight, const torch::Tensor& grad,
                       torch::Tensor* grad_x, torch::Tensor* grad_weight,
                       torch::Tensor* grad_bias) {
  const int64_t columns = x.size(-1);
  kernels::ActiveKernels<Scalar>().layer_norm_backward(
      x.numel() / columns, columns, x.data_ptr<Scalar>(), statistics.data_ptr<Scalar>(),
      weight.data_ptr<Scalar>(), grad.data_ptr<Scalar>(), grad_x->data_ptr<Scalar>(),
      grad_weight->defined() ? grad_weight->data_ptr<Scalar>() : nullptr,
      grad_bias->defined() ? grad_bias->data_ptr<Scalar>() : nullptr);
}

struct LayerNormFunction : torch::autograd::Function<LayerNormFunction> {
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& weight, const torch::Tensor& bias,
                               double epsilon) {
    torch::Tensor statistics;
    torch::Tensor out = LayerNormForward(x, weight, bias, epsilon, &statistics);
    context->save_for_backward({x, weight, statistics});
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    CheckFirstOrder();
    const auto saved = context->get_saved_variables();
    const torch::Tensor& x = saved[0];
    const torch::Tensor& weight = saved[1];
    const torch::Tensor grad = grads[0].contiguous();
    torch::Tensor grad_x = torch::empty_like(x), grad_weight, grad_bias;
    if (context->needs_input_grad(1) || context->needs_input_grad(2)) {
      grad_weight = torch::zeros_like(weight);
      grad_bias = torch::zeros_like(weight);
    }
    if (x.scalar_type() == torch::kFloat) {
      LayerNormBackward<float>(x, saved[2], weight, grad, &grad_x, &grad_weight, &grad_bias);
    } else {
      LayerNormBackward<double>(x, saved[2], weight, grad, &grad_x, &grad_weight, &grad_bias);
    }
    return {grad_x, grad_weight, grad_bias, torch::Tensor()};
  }
};

}  // namespace

LinearImpl::LinearImpl(int64_t in, int64_t out, bool with_bias) {
  weight = register_parameter("weight", torch::zeros({out, in}));
  if (with_bias) bias = register_parameter("bias", torch::zeros({out}));
}

torch::Tensor LinearImpl::forward(const torch::Tensor& x) const {
  return torch::linear(x, weight, bias);
}

LayerNormImpl::LayerNormImpl(int64_t width, double epsilon) : epsilon_(epsilon) {
  weight = register_parameter("weight", torch::ones({width}));
  bias = register_parameter("bias", torch::zeros({width}));
}

torch::Tensor LayerNormImpl::forward(const torch::Tensor& x) const {
  if (!KernelsApply(x)) {
    // Under autocast x may be narrower than the weights, which sums are kept in.
    const torch::Tensor wide =
        at::promote_types(x.scalar_type(), weight.scalar_type()) == x.scalar_type()
            ? x
            : x.to(weight.scalar_type());
    return torch::layer_norm(wide, {x.size(-1)}, weight, bias, epsilon_);
  }
  const torch::Tensor packed = x.contiguous();
  if (!NeedsGradient({x, weight, bias})) {
    return LayerNormForward(packed, weight, bias, epsilon_, nullptr);
  }
  return LayerNormFunction::apply(packed, weight, bias, epsilon_);
}

StitchImpl::StitchImpl(int64_t from, int64_t to)
    : ln_(register_module("ln", LayerNorm(from, kStitchEpsilon))),
      fc_(register_module("fc", Linear(from, to))) {}

torch::Tensor StitchImpl::forward(const torch::Tensor& x) { return fc_(ln_(x)); }

bool KernelsApply(const torch::Tensor& x) {
  return x.device().is_cpu() && !at::autocast::is_cpu_enabled() &&
         (x.scalar_type() == torch::kFloat || x.scalar_type() == torch::kDouble);
}

bool NeedsGradient(const std::vector<torch::Tensor>& tensors) {
  if (!torch::GradMode::is_enabled()) return false;
  for (const torch::Tensor& tensor : tensors) {
    if (tensor.defined() && tensor.requires_grad()) return true;
  }
  return false;
}

void CheckFirstOrder() {
  TORCH_CHECK(!torch::GradMode::is_enabled(),
              "cannot differentiate twice through a CPU kernel; use a device without kernels");
}

torch::Tensor Dropout(const torch::Tensor& x, double rate, const ForwardContext& context) {
  if (!context.training || rate == 0.0) return x;
  std::vector<int64_t> shape = x.sizes().vec();
  shape[0] += context.first_image;
  torch::Tensor mask = torch::empty(shape, torch::kFloat);
  CounterRandom random = context.random;
  random.FillUniform(mask.data_ptr<float>(), static_cast<size_t>(mask.numel()));
  mask = mask.narrow(0, context.first_image, x.size(0)).ge_(rate).mul_(1.0 / (1.0 - rate));
  return x * mask.to(x.options());
}

torch::Tensor DropPath(const torch::Tensor& branch, double rate, const ForwardContext& context) {
  if (!context.training || rate == 0.0) return branch;
  std::vector<int64_t> shape(static_cast<size_t>(branch.dim()), 1);
  shape[0] = branch.size(0);
  torch::Tensor mask = torch::empty(shape, torch::kDouble);
  CounterRandom random = context.random;
  double* scale = mask.data_ptr<double>();
  for (int64_t b = 0; b < context.first_image; ++b) random.Uniform();
  for (int64_t b = 0; b < branch.size(0); ++b) {
    scale[b] = std::floor((1.0 - rate) + random.Uniform()) / (1.0 - rate);
  }
  return branch * mask.to(branch.options());
}

}  // namespace distill::models
