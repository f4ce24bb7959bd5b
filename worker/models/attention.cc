// Self-attention and its hand-written gradient.
#include "worker/models/attention.h"

#include <torch/version.h>

#include <cmath>

#include "worker/models/kernels/cpu_kernels.h"

namespace distill::models {
namespace {

kernels::AttentionShape ShapeOf(const torch::Tensor& qkv, int64_t heads, int64_t queries) {
  return {qkv.size(0), qkv.size(1), heads, qkv.size(2) / (3 * heads), queries};
}

template <typename Scalar>
torch::Tensor Forward(const torch::Tensor& qkv, int64_t heads, int64_t queries,
                      torch::Tensor* probabilities) {
  const kernels::AttentionShape shape = ShapeOf(qkv, heads, queries);
  torch::Tensor out =
      torch::empty({shape.batch, queries, heads * shape.head_elements}, qkv.options());
  Scalar* stored = nullptr;
  if (probabilities != nullptr) {
    *probabilities = torch::empty({shape.batch, heads, queries, shape.tokens}, qkv.options());
    stored = probabilities->data_ptr<Scalar>();
  }
  kernels::ActiveKernels<Scalar>().attention_forward(shape, qkv.data_ptr<Scalar>(),
                                                     out.data_ptr<Scalar>(), stored);
  return out;
}

torch::Tensor Forward(const torch::Tensor& qkv, int64_t heads, int64_t queries,
                      torch::Tensor* probabilities) {
  return qkv.scalar_type() == torch::kFloat ? Forward<float>(qkv, heads, queries, probabilities)
                                            : Forward<double>(qkv, heads, queries, probabilities);
}

template <typename Scalar>
torch::Tensor Backward(const torch::Tensor& qkv, const torch::Tensor& probabilities,
                       const torch::Tensor& grad, int64_t heads) {
  torch::Tensor grad_qkv = torch::empty_like(qkv);
  kernels::ActiveKernels<Scalar>().attention_backward(
      ShapeOf(qkv, heads, grad.size(1)), qkv.data_ptr<Scalar>(), probabilities.data_ptr<Scalar>(),
      grad.data_ptr<Scalar>(), grad_qkv.data_ptr<Scalar>());
  return grad_qkv;
}

struct AttentionFunction : torch::autograd::Function<AttentionFunction> {
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& qkv,
                               int64_t heads, int64_t queries) {
    torch::Tensor probabilities;
    torch::Tensor out = Forward(qkv, heads, queries, &probabilities);
    context->save_for_backward({qkv, probabilities});
    context->saved_data["heads"] = heads;
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    CheckFirstOrder();
    const auto saved = context->get_saved_variables();
    const int64_t heads = context->saved_data["heads"].toInt();
    const torch::Tensor grad = grads[0].contiguous();
    return {saved[0].scalar_type() == torch::kFloat
                ? Backward<float>(saved[0], saved[1], grad, heads)
                : Backward<double>(saved[0], saved[1], grad, heads),
            torch::Tensor(), torch::Tensor()};
  }
};

}  // namespace

torch::Tensor Attention(const torch::Tensor& qkv, int64_t heads, std::optional<int64_t> queries) {
  if (!KernelsApply(qkv) || qkv.size(1) > kernels::kMaxAttentionTokens ||
      qkv.size(2) / (3 * heads) > kernels::kMaxHeadElements) {
    return AttentionPlain(qkv, heads, queries);
  }
  const torch::Tensor packed = qkv.contiguous();
  const int64_t count = queries.value_or(qkv.size(1));
  if (!NeedsGradient({qkv})) return Forward(packed, heads, count, nullptr);
  return AttentionFunction::apply(packed, heads, count);
}

torch::Tensor AttentionPlain(const torch::Tensor& qkv, int64_t heads,
                             std::optional<int64_t> queries) {
  const int64_t batch = qkv.size(0), tokens = qkv.size(1), width = qkv.size(2) / 3;
  const auto parts =
      qkv.reshape({batch, tokens, 3, heads, width / heads}).permute({2, 0, 3, 1, 4}).unbind(0);
  const double scale = 1.0 / std::sqrt(static_cast<double>(width / heads));
  const int64_t count = queries.value_or(tokens);
#if TORCH_VERSION_MAJOR >= 2
  // One kernel, which keeps no [tokens, tokens] matrix. On the processor it has other bits than
  // what follows, which tests compare with.
  if (qkv.is_cuda()) {
    return at::scaled_dot_product_attention(parts[0].narrow(2, 0, count), parts[1], parts[2], {},
                                            /*dropout_p=*/0.0, /*is_causal=*/false, scale)
        .transpose(1, 2)
        .reshape({batch, count, width});
  }
#endif
  const torch::Tensor weights = torch::softmax(
      torch::matmul(parts[0].narrow(2, 0, count) * scale, parts[1].transpose(-2, -1)), -1);
  return torch::matmul(weights, parts[2]).transpose(1, 2).reshape({batch, count, width});
}

SelfAttentionImpl::SelfAttentionImpl(int64_t width, int64_t heads, bool qkv_bias)
    : heads_(heads),
      qkv_(register_module("qkv", Linear(width, 3 * width, qkv_bias))),
      proj_(register_module("proj", Linear(width, width))) {}

torch::Tensor SelfAttentionImpl::forward(const torch::Tensor& x, std::optional<int64_t> queries) {
  return proj_(Attention(qkv_(x), heads_, queries));
}

}  // namespace distill::models
