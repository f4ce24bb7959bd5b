// The two-layer perceptron of a block, also the body of an expert: gelu(x W1^T + b1) W2^T + b2.
//
// Legend: S tokens, D width, F hidden width.
#pragma once

#include <torch/torch.h>

#include "worker/models/layers.h"

namespace distill::models {

// The parameters of one perceptron: w1 [F, D], b1 [F], w2 [D, F], b2 [D].
struct FeedForwardWeights {
  torch::Tensor w1, b1, w2, b2;
};

// What the backward pass needs of the forward one.
struct FeedForwardTape {
  torch::Tensor hidden;      // [S, F], after GELU
  torch::Tensor derivative;  // [S, F], of GELU
};

// Which gradients of FeedForwardBackward are wanted.
struct FeedForwardWanted {
  bool input;
  bool weights;
};

struct FeedForwardGradients {
  torch::Tensor x, w1, b1, w2, b2;  // undefined where not wanted
};

// CPU only, float or double, x [S, D] contiguous; records no autograd graph. Fills `tape` unless it
// is null.
torch::Tensor FeedForwardForward(const torch::Tensor& x, const FeedForwardWeights& weights,
                                 FeedForwardTape* tape);
FeedForwardGradients FeedForwardBackward(const torch::Tensor& x, const FeedForwardWeights& weights,
                                         const FeedForwardTape& tape, const torch::Tensor& grad,
                                         FeedForwardWanted wanted);

// x [S, D] to [S, D]. Uses the functions above on the CPU, FeedForwardPlain elsewhere.
// Differentiable once.
torch::Tensor FeedForward(const torch::Tensor& x, const FeedForwardWeights& weights);

// The same from LibTorch's operators.
torch::Tensor FeedForwardPlain(const torch::Tensor& x, const FeedForwardWeights& weights);

// The MLP of a dense block, x [..., D].
class MlpImpl : public torch::nn::Module {
 public:
  MlpImpl(int64_t width, int64_t hidden, double dropout);
  torch::Tensor forward(const torch::Tensor& x, const ForwardContext& context);

 private:
  double dropout_;
  Linear fc1_;
  Linear fc2_;
};
TORCH_MODULE(Mlp);

}  // namespace distill::models
