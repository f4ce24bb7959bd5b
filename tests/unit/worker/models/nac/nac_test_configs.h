// Small configurations that the tests of this folder share.
#pragma once

#include <torch/torch.h>

#include <vector>

#include "tests/support/torch/gradient_check.h"
#include "worker/models/nac/nac.h"
#include "worker/models/nac/nac_module.h"

namespace distill::models {

inline NacConfig SmallNac() {
  NacConfig config;
  config.image_size = 12;
  config.channels = 2;
  config.classes = 5;
  config.state_dim = 8;
  config.code_dim = 6;
  config.signature_dim = 4;
  config.input_latents = 3;
  config.mediator_latents = 5;
  config.output_latents = 2;
  config.layers = 2;
  config.heads = 2;
  config.head_dim = 3;
  config.tokenizer_stem = 2;
  config.grid_channels = 3;
  return config;
}

inline NacModuleConfig SmallModule(NacModuleKind kind) {
  NacModuleConfig config;
  config.nac = SmallNac();
  config.kind = kind;
  config.stitch_width = 12;
  return config;
}

// Fills parameters and buffers with numbers of about `size`.
inline void FillRandomly(torch::nn::Module& module, torch::ScalarType type = torch::kDouble,
                         double size = 1.0) {
  module.to(type);
  const torch::NoGradGuard no_gradient;
  uint64_t seed = 20;
  for (torch::Tensor& tensor : module.parameters()) {
    if (tensor.dim() == 0) continue;  // gains and bandwidths: a kernel may not be turned over
    tensor.copy_(Variable(tensor.sizes(), ++seed) * size);
  }
  for (torch::Tensor& tensor : module.buffers())
    tensor.copy_(Variable(tensor.sizes(), ++seed) * size);
}

// A scalar in which every element of `out` has a weight of its own.
inline torch::Tensor Weighted(const torch::Tensor& out) {
  return (out * Variable(out.sizes(), 99).detach()).sum();
}

}  // namespace distill::models
