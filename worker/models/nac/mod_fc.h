// Linear layers that a latent's code conditions, and the feed-forward network made of two of them.
//
// Legend: B batch, U latents, C state width, K code width.
#pragma once

#include <torch/torch.h>

#include "worker/models/forward_context.h"
#include "worker/models/layers.h"
#include "worker/models/nac/nac_config.h"

namespace distill::models {

// y_u = native_weight (x_u * gamma_u) + native_bias, gamma_u = 1 + scale_gain LN(scale(c_u)), where
// LN has neither weight nor bias.
class ModFcImpl : public torch::nn::Module {
 public:
  ModFcImpl(int64_t in, int64_t out, int64_t code_dim, bool bias, double scale_gain);

  // x [..., U, in], codes [U, K] or [1, K] to [..., U, out].
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& codes) const;
  // gamma [U, in], which depends on no image.
  torch::Tensor Scale(const torch::Tensor& codes) const;

  torch::Tensor native_weight;  // [out, in]
  torch::Tensor native_bias;    // [out], or undefined
  Linear scale;                 // [in, K], no bias
  torch::Tensor scale_gain;     // []
};
TORCH_MODULE(ModFc);

// a * gelu(g), for x [..., 2 H] whose halves are a and g: [..., H].
torch::Tensor Geglu(const torch::Tensor& x);

// One factor per channel.
class LayerScaleImpl : public torch::nn::Module {
 public:
  LayerScaleImpl(int64_t width, double value);
  torch::Tensor forward(const torch::Tensor& x) const { return x * gamma; }

  torch::Tensor gamma;  // [C]
};
TORCH_MODULE(LayerScale);

// x += drop_path(layer_scale(ModFC(GEGLU(ModFC(LN(x)))))).
class ModFfnImpl : public torch::nn::Module {
 public:
  ModFfnImpl(const NacConfig& config, double drop_path, double layer_scale);
  // x [B, U, C], codes [U, K] or [1, K] to [B, U, C]. Draws from context.random itself.
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& codes,
                        const ForwardContext& context);

 private:
  const bool geglu_;
  const double drop_path_;
  LayerNorm layernorm_;
  ModFc expand_;
  ModFc contract_;
  LayerScale layer_scale_;
};
TORCH_MODULE(ModFfn);

// codes + U(-noise |codes|, noise |codes|), one draw for the whole batch; `codes` unless context
// trains. The noise carries no gradient.
torch::Tensor NoisyCodes(const torch::Tensor& codes, double noise, const ForwardContext& context);

}  // namespace distill::models
