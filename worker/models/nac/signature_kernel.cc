// Link probabilities and their samples.
#include "worker/models/nac/signature_kernel.h"

#include <limits>

#include "worker/models/kernels/cpu_kernels.h"
#include "worker/models/layers.h"

namespace distill::models {
namespace {

constexpr double kCosineEpsilon = 1e-12;
constexpr double kProbabilityEpsilon = std::numeric_limits<float>::epsilon();
constexpr double kPositiveSharpness = 20.0;
// Beyond this, the logarithm of 1 + exp(x) is x even in double precision.
constexpr double kPositiveThreshold = 40.0;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

torch::Tensor UnitRows(const torch::Tensor& x) {
  return x / x.norm(2, -1, /*keepdim=*/true).clamp_min(kCosineEpsilon);
}

torch::Tensor Logit(const torch::Tensor& p) { return p.log() - (-p).log1p(); }

// logit(p) with p clamped; a p outside of [0, 1] by rounding gets the gradient of one inside.
torch::Tensor BoundedLogit(const torch::Tensor& log_p) {
  const torch::Tensor raw = log_p.exp();
  const torch::Tensor p = raw + (raw.clamp(0.0, 1.0) - raw).detach();
  return Logit(p.clamp(kProbabilityEpsilon, 1.0 - kProbabilityEpsilon));
}

template <typename Scalar>
torch::Tensor Sample(uint64_t key, int64_t batch, const torch::Tensor& logits, double temperature) {
  torch::Tensor links = torch::empty({batch, logits.size(0), logits.size(1)}, logits.options());
  kernels::ActiveKernels<Scalar>().sample_links(
      key, batch, logits.numel(), temperature, logits.data_ptr<Scalar>(), links.data_ptr<Scalar>());
  return links;
}

template <typename Scalar>
torch::Tensor SampleBackward(const torch::Tensor& links, const torch::Tensor& grad,
                             double temperature) {
  torch::Tensor grad_logits = torch::zeros({links.size(1), links.size(2)}, links.options());
  kernels::ActiveKernels<Scalar>().sample_links_backward(
      links.size(0), grad_logits.numel(), temperature, links.data_ptr<Scalar>(),
      grad.data_ptr<Scalar>(), grad_logits.data_ptr<Scalar>());
  return grad_logits;
}

// log sigmoid((logit(uniform) + logits) / temperature) per image: [batch, U, V] from [U, V].
struct SampleFunction : torch::autograd::Function<SampleFunction> {
  static torch::Tensor forward(torch::autograd::AutogradContext* context,
                               const torch::Tensor& logits, int64_t batch, int64_t key,
                               double temperature) {
    const uint64_t bits = static_cast<uint64_t>(key);
    torch::Tensor links = logits.scalar_type() == torch::kFloat
                              ? Sample<float>(bits, batch, logits, temperature)
                              : Sample<double>(bits, batch, logits, temperature);
    context->save_for_backward({links});
    context->saved_data["temperature"] = temperature;
    return links;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    CheckFirstOrder();
    const torch::Tensor links = context->get_saved_variables()[0];
    const double temperature = context->saved_data["temperature"].toDouble();
    const torch::Tensor grad = grads[0].contiguous();
    return {links.scalar_type() == torch::kFloat ? SampleBackward<float>(links, grad, temperature)
                                                 : SampleBackward<double>(links, grad, temperature),
            torch::Tensor(), torch::Tensor(), torch::Tensor()};
  }
};

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
  return torch::softplus(bandwidth, kPositiveSharpness, kPositiveThreshold);
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
  torch::Tensor logits = BoundedLogit(log_p);
  if (config_.cut_links == CutLinks::kRemoved && config_.truncation.has_value()) {
    logits = logits.masked_fill(distances > *config_.truncation, -kInfinity);
  }
  CounterRandom random = context.random;
  const int64_t key = static_cast<int64_t>(random.NextUint64());
  // Elsewhere the draws are made on the CPU too, so that they are the same ones.
  return SampleFunction::apply(logits.cpu().contiguous(), batch, key, config_.temperature)
      .to(logits.device());
}

}  // namespace distill::models
