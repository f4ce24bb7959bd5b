// Code-conditioned linear layers.
#include "worker/models/nac/mod_fc.h"

namespace distill::models {
namespace {

constexpr double kEpsilon = 1e-5;

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
  return torch::linear(x * Scale(codes), native_weight, native_bias);
}

torch::Tensor Geglu(const torch::Tensor& x) {
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
