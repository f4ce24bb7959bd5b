// The read-in, without the keys and values of all pairs.
#include "worker/models/nac/read_in.h"

#include <cmath>

#include "worker/models/nac/latent_attention.h"

namespace distill::models {
namespace {

constexpr double kEpsilon = 1e-5;
constexpr double kAttentionLayerScale = 1.0;

}  // namespace

ReadInAttentionImpl::ReadInAttentionImpl(const NacConfig& config, int64_t token_width)
    : heads_(config.heads),
      head_dim_(config.head_dim),
      sender_layernorm_(register_module("sender_layernorm", LayerNorm(token_width, kEpsilon))),
      receiver_layernorm_(
          register_module("receiver_layernorm", LayerNorm(config.state_dim, kEpsilon))),
      query_compiler_(register_module(
          "query_compiler", ModFc(config.state_dim, AttentionWidth(config), config.code_dim,
                                  config.qkv_bias, config.scale_gain))),
      key_compiler_(register_module("key_compiler",
                                    ModFc(token_width, AttentionWidth(config), config.code_dim,
                                          config.qkv_bias, config.scale_gain))),
      value_compiler_(register_module("value_compiler",
                                      ModFc(token_width, AttentionWidth(config), config.code_dim,
                                            config.qkv_bias, config.scale_gain))),
      exit_layer_(register_module("exit_layer",
                                  ModFc(AttentionWidth(config), config.state_dim, config.code_dim,
                                        /*bias=*/true, config.scale_gain))),
      layer_scale_(
          register_module("layer_scale", LayerScale(config.state_dim, kAttentionLayerScale))) {}

torch::Tensor ReadInAttentionImpl::forward(const torch::Tensor& states, const torch::Tensor& codes,
                                           const torch::Tensor& tokens) {
  const int64_t batch = states.size(0), count = states.size(1), width = tokens.size(2);
  const torch::Tensor sent = sender_layernorm_(tokens);
  // Per head and pair of image and latent: [H, B * U, E] [H, E, I].
  const torch::Tensor queries = query_compiler_(receiver_layernorm_(states), codes)
                                    .reshape({batch * count, heads_, head_dim_})
                                    .transpose(0, 1);
  const torch::Tensor key_weight = key_compiler_->native_weight.view({heads_, head_dim_, width});
  const torch::Tensor probes =
      (torch::bmm(queries, key_weight).view({heads_, batch, count, width}) *
       key_compiler_->Scale(codes))
          .transpose(0, 1)
          .reshape({batch, heads_ * count, width});
  // Heads and latents are receivers alike: all of them attend to the tokens themselves.
  const torch::Tensor gathered = MaskedAttention(probes, sent, sent, torch::Tensor(), /*heads=*/1,
                                                 1.0 / std::sqrt(static_cast<double>(head_dim_)))
                                     .view({batch, heads_, count, width}) *
                                 value_compiler_->Scale(codes);
  const torch::Tensor value_weight =
      value_compiler_->native_weight.view({heads_, head_dim_, width});
  torch::Tensor messages =
      torch::bmm(gathered.transpose(0, 1).reshape({heads_, batch * count, width}),
                 value_weight.transpose(1, 2))
          .transpose(0, 1)
          .reshape({batch, count, heads_ * head_dim_});
  if (value_compiler_->native_bias.defined()) messages = messages + value_compiler_->native_bias;
  return states + layer_scale_(exit_layer_(messages, codes));
}

ReadInImpl::ReadInImpl(const NacConfig& config, double ffn_layer_scale)
    : read_in_attention_(
          register_module("read_in_attention", ReadInAttention(config, TokenWidth(config)))),
      ffn_(register_module("ffn", ModFfn(config, /*drop_path=*/0.0, ffn_layer_scale))) {}

torch::Tensor ReadInImpl::forward(const torch::Tensor& states, const torch::Tensor& codes,
                                  const torch::Tensor& tokens, const ForwardContext& context) {
  return ffn_(read_in_attention_(states, codes, tokens), codes, context);
}

}  // namespace distill::models
