// Which latents hear which: link probabilities from the distance of their signatures.
//
//   d_uv = 1 - cos(s_u, s_v);   p_uv = exp(-d_uv / bandwidth) if d_uv <= truncation, else 0
//
// Training may sample links e_uv ~ RelaxedBernoulli(p_uv) per image; evaluation takes e = p. What
// attention adds to its scores is log e, -inf where a link is cut.
//
// Legend: B batch, U receivers, V senders, S signature width.
#pragma once

#include <torch/torch.h>

#include <optional>

#include "worker/models/forward_context.h"
#include "worker/models/nac/nac_config.h"

namespace distill::models {

// 1 - cosine of rows: [U, V] from [U, S] and [V, S].
torch::Tensor CosineDistances(const torch::Tensor& receivers, const torch::Tensor& senders);

// (logit(uniform) + logit(p)) / temperature, of which the sample is the sigmoid, with p and the
// uniform numbers clamped to [1.2e-7, 1 - 1.2e-7] as PyTorch does in float32. A p outside of [0, 1]
// by rounding gets the gradient of one inside.
torch::Tensor RelaxedBernoulliLogits(const torch::Tensor& log_p, const torch::Tensor& uniform,
                                     double temperature);

class SignatureKernelImpl : public torch::nn::Module {
 public:
  struct Config {
    std::optional<double> truncation;
    bool sample = false;
    double temperature = 0.5;
    CutLinks cut_links = CutLinks::kRemoved;
    BandwidthForm bandwidth_form = BandwidthForm::kPositive;
  };
  explicit SignatureKernelImpl(const Config& config);

  // log p [U, V] from distances [U, V].
  torch::Tensor LogProbabilities(const torch::Tensor& distances) const;
  // log e: [U, V], or [batch, U, V] where training samples.
  torch::Tensor LogLinks(const torch::Tensor& distances, int64_t batch,
                         const ForwardContext& context) const;
  // The effective bandwidth [], differentiable.
  torch::Tensor Bandwidth() const;

  torch::Tensor bandwidth;  // [], starts at 1

 private:
  const Config config_;
};
TORCH_MODULE(SignatureKernel);

}  // namespace distill::models
