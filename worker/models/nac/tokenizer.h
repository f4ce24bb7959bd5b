// Turns images into tokens: a ConvNeXt of a few stages, and a learned grid of positions beside its
// features.
//
// Legend: B batch, N side of the feature map, C channels, V tokens, I token width.
#pragma once

#include <torch/torch.h>

#include <vector>

#include "worker/models/layers.h"
#include "worker/models/nac/nac_config.h"

namespace distill::models {

// A convolution with as many groups as channels. x [B, N, N, C] (channels last), weight
// [C, 1, 7, 7], bias [C]; three zeros of padding on every side keep N. Differentiable once on the
// CPU.
torch::Tensor DepthwiseConvolution(const torch::Tensor& x, const torch::Tensor& weight,
                                   const torch::Tensor& bias);

// The same from LibTorch's operators.
torch::Tensor DepthwiseConvolutionPlain(const torch::Tensor& x, const torch::Tensor& weight,
                                        const torch::Tensor& bias);

// A convolution whose kernel is `size` wide: only its parameters.
class ConvolutionImpl : public torch::nn::Module {
 public:
  ConvolutionImpl(int64_t in, int64_t out, int64_t size)
      : weight(register_parameter("weight", torch::zeros({out, in, size, size}))),
        bias(register_parameter("bias", torch::zeros({out}))) {}
  torch::Tensor weight;  // [out, in, size, size]
  torch::Tensor bias;    // [out]
};
TORCH_MODULE(Convolution);

// x += gamma * Linear(GELU(Linear(LN(DepthwiseConvolution(x))))), channels last.
class ConvNextBlockImpl : public torch::nn::Module {
 public:
  explicit ConvNextBlockImpl(int64_t width);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  torch::Tensor gamma_;  // [C]
  Convolution dwconv_;
  LayerNorm norm_;
  Linear pwconv1_;
  Linear pwconv2_;
};
TORCH_MODULE(ConvNextBlock);

class ImageTokenizerImpl : public torch::nn::Module {
 public:
  // All random parameters start at zero: see nac_initialization.h.
  explicit ImageTokenizerImpl(const NacConfig& config);
  // Pixels [B, channels, image_size, image_size] to tokens [B, V, I], row by row.
  torch::Tensor forward(const torch::Tensor& pixels);

 private:
  // The convolution that makes the map smaller and its LayerNorm, which follows the stem and
  // precedes the others.
  struct Downsampling {
    Convolution convolution{nullptr};
    LayerNorm norm{nullptr};
    std::vector<ConvNextBlock> blocks;
  };

  const int64_t image_size_, channels_, stem_;
  std::vector<Downsampling> stages_;
  torch::Tensor grid_;  // [grid channels, N, N], undefined without
};
TORCH_MODULE(ImageTokenizer);

}  // namespace distill::models
