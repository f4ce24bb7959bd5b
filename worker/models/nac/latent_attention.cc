// Attention between latents.
#include "worker/models/nac/latent_attention.h"

#include <cmath>
#include <limits>

#include "worker/models/kernels/cpu_kernels.h"

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

double ScaleOf(const torch::Tensor& q, int64_t heads, std::optional<double> scale) {
  return scale.value_or(1.0 / std::sqrt(static_cast<double>(q.size(2) / heads)));
}

kernels::MaskedAttentionShape ShapeOf(const torch::Tensor& q, const torch::Tensor& k,
                                      const torch::Tensor& mask, int64_t heads, double scale) {
  return {q.size(0), q.size(1),         k.size(1),
          heads,     q.size(2) / heads, mask.defined() && mask.dim() == 3,
          scale};
}

template <typename Scalar>
torch::Tensor AttentionForward(const torch::Tensor& q, const torch::Tensor& k,
                               const torch::Tensor& v, const torch::Tensor& mask, int64_t heads,
                               double scale, torch::Tensor* probabilities) {
  const kernels::MaskedAttentionShape shape = ShapeOf(q, k, mask, heads, scale);
  torch::Tensor out = torch::empty_like(q);
  const torch::Tensor workspace =
      torch::empty({kernels::MaskedAttentionWorkspace(shape)}, q.options());
  if (probabilities != nullptr) {
    *probabilities =
        torch::empty({shape.batch, heads, shape.receivers, shape.senders}, q.options());
  }
  kernels::ActiveKernels<Scalar>().masked_attention_forward(
      shape, q.data_ptr<Scalar>(), k.data_ptr<Scalar>(), v.data_ptr<Scalar>(),
      mask.defined() ? mask.data_ptr<Scalar>() : nullptr, out.data_ptr<Scalar>(),
      probabilities == nullptr ? nullptr : probabilities->data_ptr<Scalar>(),
      workspace.data_ptr<Scalar>());
  return out;
}

torch::Tensor AttentionForward(const torch::Tensor& q, const torch::Tensor& k,
                               const torch::Tensor& v, const torch::Tensor& mask, int64_t heads,
                               double scale, torch::Tensor* probabilities) {
  return q.scalar_type() == torch::kFloat
             ? AttentionForward<float>(q, k, v, mask, heads, scale, probabilities)
             : AttentionForward<double>(q, k, v, mask, heads, scale, probabilities);
}

struct AttentionGradients {
  torch::Tensor q, k, v, mask;
};

template <typename Scalar>
void AttentionBackward(const kernels::MaskedAttentionShape& shape, const torch::Tensor& q,
                       const torch::Tensor& k, const torch::Tensor& v,
                       const torch::Tensor& probabilities, const torch::Tensor& grad,
                       AttentionGradients* result) {
  const torch::Tensor workspace =
      torch::empty({kernels::MaskedAttentionWorkspace(shape)}, q.options());
  kernels::ActiveKernels<Scalar>().masked_attention_backward(
      shape, q.data_ptr<Scalar>(), k.data_ptr<Scalar>(), v.data_ptr<Scalar>(),
      probabilities.data_ptr<Scalar>(), grad.data_ptr<Scalar>(), result->q.data_ptr<Scalar>(),
      result->k.data_ptr<Scalar>(), result->v.data_ptr<Scalar>(),
      result->mask.defined() ? result->mask.data_ptr<Scalar>() : nullptr,
      workspace.data_ptr<Scalar>());
}

struct MaskedAttentionFunction : torch::autograd::Function<MaskedAttentionFunction> {
  // `mask` is empty when there is none: autograd takes no undefined tensor.
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& q,
                               const torch::Tensor& k, const torch::Tensor& v,
                               const torch::Tensor& mask, int64_t heads, double scale) {
    const torch::Tensor used = mask.numel() == 0 ? torch::Tensor() : mask;
    torch::Tensor probabilities;
    torch::Tensor out = AttentionForward(q, k, v, used, heads, scale, &probabilities);
    context->save_for_backward({q, k, v, probabilities});
    context->saved_data["heads"] = heads;
    context->saved_data["scale"] = scale;
    context->saved_data["mask"] = mask.sizes().vec();
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    CheckFirstOrder();
    const auto saved = context->get_saved_variables();
    const torch::Tensor &q = saved[0], &k = saved[1], &v = saved[2];
    const torch::Tensor grad = grads[0].contiguous();
    AttentionGradients result = {
        torch::empty_like(q), torch::empty_like(k), torch::empty_like(v), {}};
    const std::vector<int64_t> mask_shape = context->saved_data["mask"].toIntVector();
    if (context->needs_input_grad(3)) result.mask = torch::zeros(mask_shape, q.options());
    kernels::MaskedAttentionShape shape =
        ShapeOf(q, k, result.mask, context->saved_data["heads"].toInt(),
                context->saved_data["scale"].toDouble());
    if (q.scalar_type() == torch::kFloat) {
      AttentionBackward<float>(shape, q, k, v, saved[3], grad, &result);
    } else {
      AttentionBackward<double>(shape, q, k, v, saved[3], grad, &result);
    }
    return {result.q, result.k, result.v, result.mask, torch::Tensor(), torch::Tensor()};
  }
};

}  // namespace

torch::Tensor MaskedAttentionPlain(const torch::Tensor& q, const torch::Tensor& k,
                                   const torch::Tensor& v, const torch::Tensor& mask, int64_t heads,
                                   std::optional<double> scale) {
  const torch::Tensor scores = torch::matmul(SplitHeads(q, heads) * ScaleOf(q, heads, scale),
                                             SplitHeads(k, heads).transpose(-2, -1));
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
                              const torch::Tensor& v, const torch::Tensor& mask, int64_t heads,
                              std::optional<double> scale) {
  if (!KernelsApply(q)) return MaskedAttentionPlain(q, k, v, mask, heads, scale);
  const torch::Tensor packed_mask = mask.defined() ? mask.contiguous() : mask;
  const torch::Tensor packed_q = q.contiguous(), packed_k = k.contiguous();
  const torch::Tensor packed_v = v.contiguous();
  const double factor = ScaleOf(q, heads, scale);
  if (!NeedsGradient({q, k, v, mask})) {
    return AttentionForward(packed_q, packed_k, packed_v, packed_mask, heads, factor, nullptr);
  }
  return MaskedAttentionFunction::apply(
      packed_q, packed_k, packed_v, mask.defined() ? packed_mask : torch::empty({0}, q.options()),
      heads, factor);
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
