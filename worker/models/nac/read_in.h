// Brings the tokens of an image into the input latents: attention in which each latent has its own
// key and value projection of the tokens, through its code.
//
// Legend: B batch, U input latents, V tokens, I token width, H heads, E elements of a head, C state
// width, K code width.
#pragma once

#include <torch/torch.h>

#include "worker/models/forward_context.h"
#include "worker/models/layers.h"
#include "worker/models/nac/mod_fc.h"
#include "worker/models/nac/nac_config.h"

namespace distill::models {

// x_u += layer_scale(ModFC_exit(m_u, c_u)), m_u = sum_v softmax_v(q_u k_uv / sqrt(E)) v_uv with
// k_uv = ModFC_k(t_v, c_u) and v_uv = ModFC_v(t_v, c_u).
//
// The keys and values of all pairs are never made: with the code's scales gamma and the weights W_h
// of a head, q_u k_uv = (gamma_u^k * (W_h^k)^T q_u) t_v and m_u = W_h^v (gamma_u^v * sum_v a_uv
// t_v), exactly. A bias of the keys would not change the softmax; one of the values adds itself.
class ReadInAttentionImpl : public torch::nn::Module {
 public:
  ReadInAttentionImpl(const NacConfig& config, int64_t token_width);
  // states [B, U, C], codes [U, K], tokens [B, V, I] to [B, U, C].
  torch::Tensor forward(const torch::Tensor& states, const torch::Tensor& codes,
                        const torch::Tensor& tokens);

 private:
  const int64_t heads_, head_dim_;
  LayerNorm sender_layernorm_;
  LayerNorm receiver_layernorm_;
  ModFc query_compiler_;
  ModFc key_compiler_;
  ModFc value_compiler_;
  ModFc exit_layer_;
  LayerScale layer_scale_;
};
TORCH_MODULE(ReadInAttention);

// The attention, then the feed-forward network.
class ReadInImpl : public torch::nn::Module {
 public:
  ReadInImpl(const NacConfig& config, double ffn_layer_scale);
  // As ReadInAttention.
  torch::Tensor forward(const torch::Tensor& states, const torch::Tensor& codes,
                        const torch::Tensor& tokens, const ForwardContext& context);

 private:
  ReadInAttention read_in_attention_;
  ModFfn ffn_;
};
TORCH_MODULE(ReadIn);

}  // namespace distill::models
