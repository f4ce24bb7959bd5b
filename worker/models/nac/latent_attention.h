// Attention between latents whose projections their codes condition, with link probabilities added
// to its scores ("stochastic kernel modulated dot-product attention").
//
//   r = LN(x_receivers), t = LN(x_senders);   q = ModFC(r, c_receivers)
//   k = ModFC(t, c_senders), v = ModFC(t, c_senders)
//   m = softmax_v(q k / sqrt(E) + log e) v;   x_receivers (+)= layer_scale(ModFC(m, c_receivers))
//
// Legend: B batch, U receivers, V senders, H heads, E elements of a head, C state width, K code
// width.
#pragma once

#include <torch/torch.h>

#include <optional>

#include "worker/models/forward_context.h"
#include "worker/models/layers.h"
#include "worker/models/nac/mod_fc.h"
#include "worker/models/nac/nac_config.h"
#include "worker/models/nac/signature_kernel.h"

namespace distill::models {

// softmax(scale q k^T + mask) v per head, heads concatenated: [B, U, H*E] from q [B, U, H*E], k and
// v [B, V, H*E] and mask [U, V], [B, U, V] or undefined, the same for all heads. Without `scale` it
// is 1 / sqrt(E). A receiver whose mask is -inf throughout gets zeros. Uses our kernel on the CPU
// and MaskedAttentionPlain elsewhere. Differentiable once.
torch::Tensor MaskedAttention(const torch::Tensor& q, const torch::Tensor& k,
                              const torch::Tensor& v, const torch::Tensor& mask, int64_t heads,
                              std::optional<double> scale = std::nullopt);

// The same from LibTorch's operators.
torch::Tensor MaskedAttentionPlain(const torch::Tensor& q, const torch::Tensor& k,
                                   const torch::Tensor& v, const torch::Tensor& mask, int64_t heads,
                                   std::optional<double> scale = std::nullopt);

// The states of some latents and what conditions them.
struct LatentStates {
  torch::Tensor states;  // [B, U, C]
  torch::Tensor codes;   // [U, K], or [1, K] for all
};

// What a layer is for decides its details:
//                      links      LayerNorm     old state of the receiver
//   kPropagator        truncated  one for both  kept, drop-path
//   kReadOut           all        two           replaced
//   kMediatorModule    none       one for both  kept, drop-path
//   kReadOutModule     none       two           replaced
enum class LatentLayerRole { kPropagator, kReadOut, kMediatorModule, kReadOutModule };

class LatentAttentionImpl : public torch::nn::Module {
 public:
  LatentAttentionImpl(const NacConfig& config, LatentLayerRole role);
  // Receivers that are the last of the senders may say so with `receivers_end_senders`, which saves
  // a LayerNorm. `distances` [U, V] is looked at by roles with links only. Returns the receivers'
  // new states [B, U, C].
  torch::Tensor forward(const LatentStates& receivers, const LatentStates& senders,
                        const torch::Tensor& distances, bool receivers_end_senders,
                        const ForwardContext& context);

  // Null for modules.
  const SignatureKernel& kernel() const { return kernel_; }

 private:
  const int64_t heads_;
  const bool keeps_state_;
  const double drop_path_;
  SignatureKernel kernel_{nullptr};
  LayerNorm receiver_layernorm_;
  LayerNorm sender_layernorm_{nullptr};  // null when shared
  ModFc query_compiler_;
  ModFc key_compiler_;
  ModFc value_compiler_;
  ModFc exit_layer_;
  LayerScale layer_scale_;
};
TORCH_MODULE(LatentAttention);

// Attention, then the feed-forward network: a propagator, or the read-out.
class LatentLayerImpl : public torch::nn::Module {
 public:
  LatentLayerImpl(const NacConfig& config, LatentLayerRole role);
  // As LatentAttention.
  torch::Tensor forward(const LatentStates& receivers, const LatentStates& senders,
                        const torch::Tensor& distances, bool receivers_end_senders,
                        const ForwardContext& context);

  const LatentAttention& attention() const { return latent_attention_; }
  const ModFfn& ffn() const { return ffn_; }

 private:
  LatentAttention latent_attention_;
  ModFfn ffn_;
};
TORCH_MODULE(LatentLayer);

}  // namespace distill::models
