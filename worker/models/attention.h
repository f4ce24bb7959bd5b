// Multi-head self-attention over the tokens of one image.
//
// Legend: B batch, T tokens, Q queries, D width, H heads, E = D / H.
#pragma once

#include <torch/torch.h>

#include <optional>

#include "worker/models/layers.h"

namespace distill::models {

// softmax(q k^T / sqrt(E)) v, heads concatenated: [B, Q, D] from qkv [B, T, 3 * D], whose last
// dimension is ordered (q, k, v), then head, then element. Only the first `queries` tokens look at
// the others; all of them without it. Uses our kernel on the CPU for up to kMaxAttentionTokens
// tokens and AttentionPlain otherwise. Differentiable once.
torch::Tensor Attention(const torch::Tensor& qkv, int64_t heads,
                        std::optional<int64_t> queries = std::nullopt);

// The same from LibTorch's operators, on any device, differentiable any number of times.
torch::Tensor AttentionPlain(const torch::Tensor& qkv, int64_t heads,
                             std::optional<int64_t> queries = std::nullopt);

// x [B, T, D] to [B, Q, D]: one fused projection to q, k and v, Attention, output projection.
class SelfAttentionImpl : public torch::nn::Module {
 public:
  SelfAttentionImpl(int64_t width, int64_t heads, bool qkv_bias);
  torch::Tensor forward(const torch::Tensor& x, std::optional<int64_t> queries = std::nullopt);

 private:
  int64_t heads_;
  Linear qkv_;
  Linear proj_;
};
TORCH_MODULE(SelfAttention);

}  // namespace distill::models
