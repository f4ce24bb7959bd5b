// The latents of a NAC: where they sit, what they compute, how their states start, and how the
// output latents' states become logits.
//
// Legend: B batch, U latents, C state width, K code width, S signature width.
#pragma once

#include <torch/torch.h>

#include "worker/models/forward_context.h"
#include "worker/models/layers.h"
#include "worker/models/nac/nac_config.h"

namespace distill::models {

// One population. The reference's names end in an underscore.
class LatentsImpl : public torch::nn::Module {
 public:
  LatentsImpl(int64_t count, const NacConfig& config)
      : signatures(register_parameter("signatures_", torch::zeros({count, config.signature_dim}))),
        codes(register_parameter("codes_", torch::zeros({count, config.code_dim}))) {}

  torch::Tensor signatures;  // [U, S]
  torch::Tensor codes;       // [U, K]
};
TORCH_MODULE(Latents);

// First states: x_u = mean_u + e exp(log_variance_u / 2), both linear in the normalised code, and e
// standard normal per image: drawn in training and in stochastic evaluation, else 0.
class LatentSeederImpl : public torch::nn::Module {
 public:
  explicit LatentSeederImpl(const NacConfig& config);
  // [batch, U, C] from codes [U, K].
  torch::Tensor forward(const torch::Tensor& codes, int64_t batch, const ForwardContext& context);

 private:
  const double code_noise_;
  const bool noise_in_evaluation_;
  LayerNorm layernorm_;
  Linear code_to_state_mu_;
  Linear code_to_state_logvar_{nullptr};  // null without state noise
};
TORCH_MODULE(LatentSeeder);

// logits = to_logits(sum_u weight_u x_u), weights = softmax over the latents of a linear
// confidence, to which training and stochastic evaluation add Gumbel noise per image.
class OutputPoolingImpl : public torch::nn::Module {
 public:
  explicit OutputPoolingImpl(const NacConfig& config);
  // states [B, U, C] to [B, classes].
  torch::Tensor forward(const torch::Tensor& states, const ForwardContext& context) {
    return Classify(Pool(states, context));
  }
  // Its two halves: the weighted sum of the states [B, C], and its logits.
  torch::Tensor Pool(const torch::Tensor& states, const ForwardContext& context);
  torch::Tensor Classify(const torch::Tensor& pooled) { return to_logits_(pooled); }

 private:
  const bool gumbel_, noise_in_evaluation_;
  Linear confidence_scorer_;
  Linear to_logits_;
};
TORCH_MODULE(OutputPooling);

}  // namespace distill::models
