// The perceptron with bias and GELU in one pass over memory, and its gradient.
#include "worker/models/feed_forward.h"

#include "worker/models/kernels/cpu_kernels.h"

namespace distill::models {
namespace {

template <typename Scalar>
void BiasGelu(torch::Tensor* values, const torch::Tensor& bias, torch::Tensor* derivative) {
  kernels::ActiveKernels<Scalar>().bias_gelu(
      values->size(0), values->size(1), bias.data_ptr<Scalar>(), values->data_ptr<Scalar>(),
      derivative == nullptr ? nullptr : derivative->data_ptr<Scalar>());
}

struct FeedForwardFunction : torch::autograd::Function<FeedForwardFunction> {
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& w1, const torch::Tensor& b1,
                               const torch::Tensor& w2, const torch::Tensor& b2) {
    FeedForwardTape tape;
    torch::Tensor out = FeedForwardForward(x, {w1, b1, w2, b2}, &tape);
    context->save_for_backward({x, w1, b1, w2, b2, tape.hidden, tape.derivative});
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    CheckFirstOrder();
    const auto saved = context->get_saved_variables();
    const FeedForwardWanted wanted = {context->needs_input_grad(0), context->needs_input_grad(1)};
    const FeedForwardGradients result =
        FeedForwardBackward(saved[0], {saved[1], saved[2], saved[3], saved[4]},
                            {saved[5], saved[6]}, grads[0].contiguous(), wanted);
    return {result.x, result.w1, result.b1, result.w2, result.b2};
  }
};

}  // namespace

torch::Tensor FeedForwardForward(const torch::Tensor& x, const FeedForwardWeights& weights,
                                 FeedForwardTape* tape) {
  torch::Tensor hidden = torch::mm(x, weights.w1.t());
  torch::Tensor derivative;
  if (tape != nullptr) derivative = torch::empty_like(hidden);
  torch::Tensor* const slope = tape == nullptr ? nullptr : &derivative;
  if (x.scalar_type() == torch::kFloat) {
    BiasGelu<float>(&hidden, weights.b1, slope);
  } else {
    BiasGelu<double>(&hidden, weights.b1, slope);
  }
  torch::Tensor out = torch::addmm(weights.b2, hidden, weights.w2.t());
  if (tape != nullptr) *tape = {hidden, derivative};
  return out;
}

FeedForwardGradients FeedForwardBackward(const torch::Tensor& x, const FeedForwardWeights& weights,
                                         const FeedForwardTape& tape, const torch::Tensor& grad,
                                         FeedForwardWanted wanted) {
  FeedForwardGradients result;
  const torch::Tensor grad_hidden = torch::mm(grad, weights.w2).mul_(tape.derivative);
  if (wanted.input) result.x = torch::mm(grad_hidden, weights.w1);
  if (wanted.weights) {
    result.w1 = torch::mm(grad_hidden.t(), x);
    result.b1 = grad_hidden.sum(0);
    result.w2 = torch::mm(grad.t(), tape.hidden);
    result.b2 = grad.sum(0);
  }
  return result;
}

torch::Tensor FeedForward(const torch::Tensor& x, const FeedForwardWeights& weights) {
  if (!KernelsApply(x)) return FeedForwardPlain(x, weights);
  const torch::Tensor packed = x.contiguous();
  if (!NeedsGradient({x, weights.w1, weights.b1, weights.w2, weights.b2})) {
    return FeedForwardForward(packed, weights, nullptr);
  }
  return FeedForwardFunction::apply(packed, weights.w1, weights.b1, weights.w2, weights.b2);
}

torch::Tensor FeedForwardPlain(const torch::Tensor& x, const FeedForwardWeights& weights) {
  return torch::linear(torch::gelu(torch::linear(x, weights.w1, weights.b1)), weights.w2,
                       weights.b2);
}

MlpImpl::MlpImpl(int64_t width, int64_t hidden, double dropout)
    : dropout_(dropout),
      fc1_(register_module("fc1", Linear(width, hidden))),
      fc2_(register_module("fc2", Linear(hidden, width))) {}

torch::Tensor MlpImpl::forward(const torch::Tensor& x, const ForwardContext& context) {
  if (context.training && dropout_ > 0.0) {
    const torch::Tensor hidden = Dropout(torch::gelu(fc1_(x)), dropout_, context.At(0));
    return Dropout(fc2_(hidden), dropout_, context.At(1));
  }
  return FeedForward(x.reshape({-1, x.size(-1)}),
                     {fc1_->weight, fc1_->bias, fc2_->weight, fc2_->bias})
      .view_as(x);
}

}  // namespace distill::models
