// Code-conditioned linear layers.
#include "worker/models/nac/mod_fc.h"

#include "worker/models/kernels/cpu_kernels.h"

namespace distill::models {
namespace {

constexpr double kEpsilon = 1e-5;

template <typename Scalar>
void ScaleBackward(const torch::Tensor& x, const torch::Tensor& gamma, torch::Tensor* grad,
                   torch::Tensor* grad_gamma) {
  kernels::ActiveKernels<Scalar>().scale_backward(
      x.numel() / gamma.numel(), gamma.numel(), x.data_ptr<Scalar>(), gamma.data_ptr<Scalar>(),
      grad->data_ptr<Scalar>(), grad_gamma->data_ptr<Scalar>());
}

// (x * gamma) weight^T + bias for packed x [..., U, in] and gamma [U, in] or [1, in]. The gradients
// of x and gamma come from one pass over memory.
struct ScaledLinearFunction : torch::autograd::Function<ScaledLinearFunction> {
  // `bias` is empty when there is none: autograd takes no undefined tensor.
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& gamma, const torch::Tensor& weight,
                               const torch::Tensor& bias) {
    const torch::Tensor scaled = x * gamma;
    context->save_for_backward({x, gamma, weight, scaled});
    return torch::linear(scaled, weight, bias.numel() == 0 ? torch::Tensor() : bias);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    CheckFirstOrder();
    const auto saved = context->get_saved_variables();
    const torch::Tensor &x = saved[0], &gamma = saved[1], &weight = saved[2], &scaled = saved[3];
    const torch::Tensor grad = grads[0].reshape({-1, weight.size(0)});
    torch::Tensor grad_x, grad_gamma, grad_weight, grad_bias;
    if (context->needs_input_grad(0) || context->needs_input_grad(1)) {
      grad_x = torch::mm(grad, weight).view(x.sizes());
      grad_gamma = torch::zeros_like(gamma);
      if (x.scalar_type() == torch::kFloat) {
        ScaleBackward<float>(x, gamma, &grad_x, &grad_gamma);
      } else {
        ScaleBackward<double>(x, gamma, &grad_x, &grad_gamma);
      }
    }
    if (context->needs_input_grad(2)) {
      grad_weight = torch::mm(grad.t(), scaled.view({-1, weight.size(1)}));
    }
    if (context->needs_input_grad(3)) grad_bias = grad.sum(0);
    return {grad_x, grad_gamma, grad_weight, grad_bias};
  }
};

template <typename Scalar>
torch::Tensor GegluForward(const torch::Tensor& x) {
  const int64_t half = x.size(-1) / 2;
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = half;
  torch::Tensor out = torch::empty(shape, x.options());
  kernels::ActiveKernels<Scalar>().geglu(x.numel() / (2 * half), half, x.data_ptr<Scalar>(),
                                         out.data_ptr<Scalar>());
  return out;
}

torch::Tensor GegluForward(const torch::Tensor& x) {
  return x.scalar_type() == torch::kFloat ? GegluForward<float>(x) : GegluForward<double>(x);
}

template <typename Scalar>
torch::Tensor GegluBackward(const torch::Tensor& x, const torch::Tensor& grad) {
  const int64_t half = x.size(-1) / 2;
  torch::Tensor grad_x = torch::empty_like(x);
  kernels::ActiveKernels<Scalar>().geglu_backward(x.numel() / (2 * half), half,
                                                  x.data_ptr<Scalar>(), grad.data_ptr<Scalar>(),
                                                  grad_x.data_ptr<Scalar>());
  return grad_x;
}

struct GegluFunction : torch::autograd::Function<GegluFunction> {
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x) {
    context->save_for_backward({x});
    return GegluForward(x);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    CheckFirstOrder();
    const torch::Tensor x = context->get_saved_variables()[0];
    const torch::Tensor grad = grads[0].contiguous();
    return {x.scalar_type() == torch::kFloat ? GegluBackward<float>(x, grad)
                                             : GegluBackward<double>(x, grad)};
  }
};

}  // namespace

ModFcImpl::ModFcImpl(int64_t in, int64_t out, int64_t code_dim, bool bias, double gain)
    : native_weight(register_parameter("native_weight", torch::zeros({out, in}))),
      native_bias(register_parameter("native_bias", bias ? torch::zeros({out}) : torch::Tensor(),
                                     /*requires_grad=*/bias)),
      scale(register_module("scale", Linear(code_dim, in, /*with_bias=*/false))),
      scale_gain(register_parameter("scale_gain", torch::full({}, gain))) {}

torch::Tensor ModFcImpl::Scale(const torch::Tensor& codes) const {
  const torch::Tensor raw = torch::linear(codes, scale->weight);
  return 1.0 + scale_gain * torch::layer_norm(raw, {raw.size(-1)}, {}, {}, kEpsilon);
}

torch::Tensor ModFcImpl::forward(const torch::Tensor& x, const torch::Tensor& codes) const {
  const torch::Tensor gamma = Scale(codes);
  if (!KernelsApply(x) || !NeedsGradient({x, gamma, native_weight, native_bias})) {
    return torch::linear(x * gamma, native_weight, native_bias);
  }
  return ScaledLinearFunction::apply(
      x.contiguous(), gamma.contiguous(), native_weight,
      native_bias.defined() ? native_bias : torch::empty({0}, native_weight.options()));
}

torch::Tensor Geglu(const torch::Tensor& x) {
  if (KernelsApply(x)) {
    const torch::Tensor packed = x.contiguous();
    return NeedsGradient({x}) ? GegluFunction::apply(packed) : GegluForward(packed);
  }
  const auto halves = x.chunk(2, -1);
  return halves[0] * torch::gelu(halves[1]);
}

LayerScaleImpl::LayerScaleImpl(int64_t width, double value)
    : gamma(register_parameter("gamma", torch::full({width}, value))) {}

ModFfnImpl::ModFfnImpl(const NacConfig& config, double drop_path, double layer_scale)
    : geglu_(config.geglu),
      drop_path_(drop_path),
      layernorm_(register_module("layernorm", LayerNorm(config.state_dim, kEpsilon))),
      expand_(config.state_dim, (config.geglu ? 2 : 1) * FeedForwardWidth(config), config.code_dim,
              /*bias=*/true, config.scale_gain),
      contract_(FeedForwardWidth(config), config.state_dim, config.code_dim, /*bias=*/true,
                config.scale_gain),
      layer_scale_(nullptr) {
  // The reference keeps the layers of this network in a list, whose place 1 is the activation.
  auto list = register_module("ffn", std::make_shared<torch::nn::Module>());
  list->register_module("0", expand_);
  list->register_module("2", contract_);
  layer_scale_ = register_module("layer_scale", LayerScale(config.state_dim, layer_scale));
}

torch::Tensor ModFfnImpl::forward(const torch::Tensor& x, const torch::Tensor& codes,
                                  const ForwardContext& context) {
  const torch::Tensor hidden = expand_(layernorm_(x), codes);
  const torch::Tensor out = contract_(geglu_ ? Geglu(hidden) : torch::gelu(hidden), codes);
  return x + DropPath(layer_scale_(out), drop_path_, context);
}

torch::Tensor NoisyCodes(const torch::Tensor& codes, double noise, const ForwardContext& context) {
  if (!context.training || noise == 0.0) return codes;
  torch::Tensor draw = torch::empty(codes.sizes(), torch::kFloat);
  CounterRandom random = context.random;
  random.FillUniform(draw.data_ptr<float>(), static_cast<size_t>(draw.numel()));
  const torch::Tensor share = draw.mul_(2.0).sub_(1.0).mul_(noise).to(codes.options());
  return codes + share * codes.detach().abs();
}

}  // namespace distill::models
