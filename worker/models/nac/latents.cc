// Seeding and pooling of latents.
#include "worker/models/nac/latents.h"

#include <limits>

#include "worker/models/kernels/cpu_kernels.h"
#include "worker/models/nac/mod_fc.h"

namespace distill::models {
namespace {

constexpr double kEpsilon = 1e-5;

// Places of random numbers within the seeder.
enum Place : int64_t { kCodes, kStates };

torch::Tensor Normals(torch::IntArrayRef shape, CounterRandom random) {
  torch::Tensor values = torch::empty(shape, torch::kFloat);
  kernels::ActiveKernels<float>().random_normals(random.NextUint64(), values.numel(),
                                                 values.data_ptr<float>());
  return values;
}

}  // namespace

LatentSeederImpl::LatentSeederImpl(const NacConfig& config)
    : code_noise_(config.code_noise),
      noise_in_evaluation_(config.stochastic_evaluation),
      layernorm_(register_module("layernorm", LayerNorm(config.code_dim, kEpsilon))),
      code_to_state_mu_(
          register_module("code_to_state_mu", Linear(config.code_dim, config.state_dim))) {
  if (config.state_noise) {
    code_to_state_logvar_ =
        register_module("code_to_state_logvar", Linear(config.code_dim, config.state_dim));
  }
}

torch::Tensor LatentSeederImpl::forward(const torch::Tensor& codes, int64_t batch,
                                        const ForwardContext& context) {
  const torch::Tensor normal = layernorm_(NoisyCodes(codes, code_noise_, context.At(kCodes)));
  const torch::Tensor mean = code_to_state_mu_(normal);
  const std::vector<int64_t> shape = {batch, mean.size(0), mean.size(1)};
  const bool draw = context.training || noise_in_evaluation_;
  if (code_to_state_logvar_.is_empty() || !draw) return mean.unsqueeze(0).expand(shape);
  const torch::Tensor deviation = (code_to_state_logvar_(normal) * 0.5).exp();
  return mean + Normals(shape, context.At(kStates).random).to(mean.options()) * deviation;
}

OutputPoolingImpl::OutputPoolingImpl(const NacConfig& config)
    : gumbel_(config.gumbel_pooling),
      noise_in_evaluation_(config.stochastic_evaluation),
      confidence_scorer_(register_module("confidence_scorer", Linear(config.state_dim, 1))),
      to_logits_(register_module("to_logits", Linear(config.state_dim, config.classes))) {}

torch::Tensor OutputPoolingImpl::Pool(const torch::Tensor& states, const ForwardContext& context) {
  torch::Tensor confidence = confidence_scorer_(states);  // [B, U, 1]
  if (gumbel_ && (context.training || noise_in_evaluation_)) {
    torch::Tensor uniform = torch::empty(confidence.sizes(), torch::kFloat);
    CounterRandom random = context.random;
    random.FillUniform(uniform.data_ptr<float>(), static_cast<size_t>(uniform.numel()));
    constexpr double kLeast = std::numeric_limits<float>::epsilon();
    confidence = confidence -
                 uniform.clamp_(kLeast, 1.0 - kLeast).log_().neg_().log_().to(confidence.options());
  }
  const torch::Tensor weights = torch::softmax(confidence, 1);
  return (states * weights).sum(1);
}

}  // namespace distill::models
