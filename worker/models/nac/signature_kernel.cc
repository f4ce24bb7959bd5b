// Link probabilities and their samples.
#include "worker/models/nac/signature_kernel.h"

#include <limits>

namespace distill::models {
namespace {

constexpr double kCosineEpsilon = 1e-12;
constexpr double kProbabilityEpsilon = std::numeric_limits<float>::epsilon();
constexpr double kPositiveSharpness = 20.0;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

torch::Tensor UnitRows(const torch::Tensor& x) {
  return x / x.norm(2, -1, /*keepdim=*/true).clamp_min(kCosineEpsilon);
}

torch::Tensor Logit(const torch::Tensor& p) { return p.log() - (-p).log1p(); }

}  // namespace

torch::Tensor CosineDistances(const torch::Tensor& receivers, const torch::Tensor& senders) {
  // Not under autocast: what follows looks at probabilities as near to 0 and 1 as float32 has.
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  return 1.0 - torch::mm(UnitRows(receivers), UnitRows(senders).t());
}

torch::Tensor RelaxedBernoulliLogits(const torch::Tensor& log_p, const torch::Tensor& uniform,
                                     double temperature) {
  const torch::Tensor raw = log_p.exp();
  const torch::Tensor p = raw + (raw.clamp(0.0, 1.0) - raw).detach();
  const torch::Tensor bounded = p.clamp(kProbabilityEpsilon, 1.0 - kProbabilityEpsilon);
  const torch::Tensor noise = Logit(uniform.clamp(kProbabilityEpsilon, 1.0 - kProbabilityEpsilon));
  return (noise + Logit(bounded)) / temperature;
}

SignatureKernelImpl::SignatureKernelImpl(const Config& config)
    : bandwidth(register_parameter("bandwidth", torch::ones({}))), config_(config) {}

torch::Tensor SignatureKernelImpl::Bandwidth() const {
  if (config_.bandwidth_form == BandwidthForm::kFree) return bandwidth;
  return torch::softplus(bandwidth, kPositiveSharpness);
}

torch::Tensor SignatureKernelImpl::LogProbabilities(const torch::Tensor& distances) const {
  const torch::Tensor log_p = -distances / Bandwidth();
  if (!config_.truncation.has_value()) return log_p;
  return log_p.masked_fill(distances > *config_.truncation, -kInfinity);
}

torch::Tensor SignatureKernelImpl::LogLinks(const torch::Tensor& distances, int64_t batch,
                                            const ForwardContext& context) const {
  const torch::Tensor log_p = LogProbabilities(distances);
  if (!config_.sample || !context.training) return log_p;
  torch::Tensor uniform = torch::empty({batch, log_p.size(0), log_p.size(1)}, torch::kFloat);
  CounterRandom random = context.random;
  random.FillUniform(uniform.data_ptr<float>(), static_cast<size_t>(uniform.numel()));
  const torch::Tensor logits =
      RelaxedBernoulliLogits(log_p, uniform.to(log_p.options()), config_.temperature);
  const torch::Tensor log_links = torch::log_sigmoid(logits);
  if (config_.cut_links == CutLinks::kReference || !config_.truncation.has_value()) {
    return log_links;
  }
  return log_links.masked_fill(distances > *config_.truncation, -kInfinity);
}

}  // namespace distill::models
