// The small layers that everything else is made of. Parameters start at zero: initialization.h
// fills them, from counter-based random numbers and never from LibTorch's global generator.
//
// Legend: S tokens of all images of a batch, D width.
#pragma once

#include <torch/torch.h>

#include "worker/models/forward_context.h"

namespace distill::models {

// y = x W^T + b, for x [..., in].
class LinearImpl : public torch::nn::Module {
 public:
  LinearImpl(int64_t in, int64_t out, bool with_bias = true);
  torch::Tensor forward(const torch::Tensor& x) const;

  torch::Tensor weight;  // [out, in]
  torch::Tensor bias;    // [out], or undefined
};
TORCH_MODULE(Linear);

// y = (x - mean) / sqrt(variance + epsilon) * weight + bias over the last dimension.
class LayerNormImpl : public torch::nn::Module {
 public:
  LayerNormImpl(int64_t width, double epsilon);
  torch::Tensor forward(const torch::Tensor& x) const;

  torch::Tensor weight;  // [D]
  torch::Tensor bias;    // [D]

 private:
  double epsilon_;
};
TORCH_MODULE(LayerNorm);

// LayerNorm (epsilon 1e-5), then Linear: carries tokens from the width of one model to another's.
class StitchImpl : public torch::nn::Module {
 public:
  StitchImpl(int64_t from, int64_t to);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  LayerNorm ln_;
  Linear fc_;
};
TORCH_MODULE(Stitch);

// Whether our CPU kernels take these tensors: float or double, on the CPU, and not under autocast.
bool KernelsApply(const torch::Tensor& x);

// Whether autograd is recording and one of `tensors` wants a gradient.
bool NeedsGradient(const std::vector<torch::Tensor>& tensors);

// Refuses to differentiate a hand-written backward pass, which would silently give wrong second
// derivatives.
void CheckFirstOrder();

// Zeroes elements with probability `rate` and scales the rest by 1 / (1 - rate); identity when
// context does not train.
torch::Tensor Dropout(const torch::Tensor& x, double rate, const ForwardContext& context);

// Stochastic depth: multiplies branch [B, ...] of each image by floor((1 - rate) + u) / (1 - rate),
// u uniform in [0, 1) from context.random; identity when context does not train.
torch::Tensor DropPath(const torch::Tensor& branch, double rate, const ForwardContext& context);

}  // namespace distill::models
