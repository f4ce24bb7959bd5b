// Attention between latents.
#include "worker/models/nac/latent_attention.h"

#include <cmath>
#include <limits>

namespace distill::models {
namespace {

constexpr double kEpsilon = 1e-5;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Places of random numbers within a layer.
enum Place : int64_t { kLinks, kAttentionPath, kFeedForwardPath };

bool HasLinks(LatentLayerRole role) {
  return role == LatentLayerRole::kPropagator || role == LatentLayerRole::kReadOut;
}

bool KeepsState(LatentLayerRole role) {
  return role == LatentLayerRole::kPropagator || role == LatentLayerRole::kMediatorModule;
}

SignatureKernelImpl::Config KernelConfig(const NacConfig& config, LatentLayerRole role) {
  SignatureKernelImpl::Config kernel;
  kernel.bandwidth_form = config.bandwidth_form;
  if (role != LatentLayerRole::kPropagator) return kernel;
  kernel.truncation = config.truncation;
  kernel.sample = config.sample_links;
  kernel.temperature = config.link_temperature;
  kernel.cut_links = config.cut_links;
  return kernel;
}

torch::Tensor SplitHeads(const torch::Tensor& x, int64_t heads) {
  return x.reshape({x.size(0), x.size(1), heads, x.size(2) / heads}).transpose(1, 2);
}

}  // namespace

torch::Tensor MaskedAttentionPlain(const torch::Tensor& q, const torch::Tensor& k,
                                   const torch::Tensor& v, const torch::Tensor& mask,
                                   int64_t heads) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(2) / heads));
  torch::Tensor scores =
      torch::matmul(SplitHeads(q, heads) * scale, SplitHeads(k, heads).transpose(-2, -1));
  torch::Tensor weights;
  if (mask.defined()) {
    const torch::Tensor per_head = mask.dim() == 3 ? mask.unsqueeze(1) : mask;
    const torch::Tensor alone = (per_head == -kInfinity).all(-1, /*keepdim=*/true);
    // The softmax of nothing but -inf is NaN, in its gradient too.
    weights = torch::softmax(scores + per_head.masked_fill(alone, 0.0), -1).masked_fill(alone, 0.0);
  } else {
    weights = torch::softmax(scores, -1);
  }
  return torch::matmul(weights, SplitHeads(v, heads)).transpose(1, 2).flatten(2);
}

torch::Tensor MaskedAttention(const torch::Tensor& q, const torch::Tensor& k,
                              const torch::Tensor& v, const torch::Tensor& mask, int64_t heads) {
  return MaskedAttentionPlain(q, k, v, mask, heads);
}

LatentAttentionImpl::LatentAttentionImpl(const NacConfig& config, LatentLayerRole role)
    : heads_(config.heads),
      keeps_state_(KeepsState(role)),
      drop_path_(keeps_state_ ? config.drop_path : 0.0),
      receiver_layernorm_(
          register_module("receiver_layernorm", LayerNorm(config.state_dim, kEpsilon))),
      query_compiler_(register_module(
          "query_compiler", ModFc(config.state_dim, AttentionWidth(config), config.code_dim,
                                  config.qkv_bias, config.scale_gain))),
      key_compiler_(register_module("key_compiler",
                                    ModFc(config.state_dim, AttentionWidth(config), config.code_dim,
                                          config.qkv_bias, config.scale_gain))),
      value_compiler_(register_module(
          "value_compiler", ModFc(config.state_dim, AttentionWidth(config), config.code_dim,
                                  config.qkv_bias, config.scale_gain))),
      exit_layer_(register_module("exit_layer",
                                  ModFc(AttentionWidth(config), config.state_dim, config.code_dim,
                                        /*bias=*/true, config.scale_gain))),
      layer_scale_(
          register_module("layer_scale", LayerScale(config.state_dim, config.layer_scale))) {
  if (HasLinks(role)) {
    kernel_ = register_module("kernel", SignatureKernel(KernelConfig(config, role)));
  }
  if (!keeps_state_) {
    sender_layernorm_ = register_module("sender_layernorm", LayerNorm(config.state_dim, kEpsilon));
  }
}

torch::Tensor LatentAttentionImpl::forward(const LatentStates& receivers,
                                           const LatentStates& senders,
                                           const torch::Tensor& distances,
                                           bool receivers_end_senders,
                                           const ForwardContext& context) {
  const int64_t count = receivers.states.size(1);
  const bool shared = sender_layernorm_.is_empty();
  const torch::Tensor sent =
      shared ? receiver_layernorm_(senders.states) : sender_layernorm_(senders.states);
  const torch::Tensor received = shared && receivers_end_senders
                                     ? sent.narrow(1, sent.size(1) - count, count)
                                     : receiver_layernorm_(receivers.states);
  const torch::Tensor mask =
      kernel_.is_empty()
          ? torch::Tensor()
          : kernel_->LogLinks(distances, receivers.states.size(0), context.At(kLinks));
  const torch::Tensor messages = MaskedAttention(
      query_compiler_(received, receivers.codes), key_compiler_(sent, senders.codes),
      value_compiler_(sent, senders.codes), mask, heads_);
  const torch::Tensor out = layer_scale_(exit_layer_(messages, receivers.codes));
  if (!keeps_state_) return out;
  return receivers.states + DropPath(out, drop_path_, context.At(kAttentionPath));
}

LatentLayerImpl::LatentLayerImpl(const NacConfig& config, LatentLayerRole role)
    : latent_attention_(register_module("latent_attention", LatentAttention(config, role))),
      ffn_(register_module(
          "ffn", ModFfn(config, KeepsState(role) ? config.drop_path : 0.0, config.layer_scale))) {}

torch::Tensor LatentLayerImpl::forward(const LatentStates& receivers, const LatentStates& senders,
                                       const torch::Tensor& distances, bool receivers_end_senders,
                                       const ForwardContext& context) {
  const torch::Tensor states =
      latent_attention_(receivers, senders, distances, receivers_end_senders, context);
  return ffn_(states, receivers.codes, context.At(kFeedForwardPath));
}

}  // namespace distill::models
