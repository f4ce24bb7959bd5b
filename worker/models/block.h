// One pre-norm transformer block, dense or with experts, with the stitches that may stand at its
// start and at its end:
//
//   x = pre_stitch(x);  x += drop_path(attention(norm1(x)));  x += drop_path(mlp(norm2(x)));
//   x = post_stitch(x)
#pragma once

#include <torch/torch.h>

#include <optional>

#include "worker/models/attention.h"
#include "worker/models/feed_forward.h"
#include "worker/models/forward_context.h"
#include "worker/models/mixture_of_experts.h"
#include "worker/models/model_config.h"

namespace distill::models {

class BlockImpl : public torch::nn::Module {
 public:
  BlockImpl(const StageConfig& stage, const BlockConfig& block);
  // x [B, T, D or stitch_width] to [B, T, D or stitch_width].
  torch::Tensor forward(torch::Tensor x, const ForwardContext& context);
  // The first token of what forward() returns, [B, 1, D or stitch_width], without computing the
  // others (unless its router needs them): all that a classifier looks at. The draws of stochastic
  // depth are those of forward().
  torch::Tensor ForwardClassToken(const torch::Tensor& x, const ForwardContext& context);

 private:
  torch::Tensor Run(torch::Tensor x, std::optional<int64_t> queries, const ForwardContext& context);

  double drop_path_;
  double dropout_;
  Stitch pre_stitch_{nullptr};  // null without stitch
  LayerNorm norm1_;
  SelfAttention attn_;
  LayerNorm norm2_;
  Mlp mlp_{nullptr};               // null with experts
  MixtureOfExperts moe_{nullptr};  // null without
  Stitch post_stitch_{nullptr};    // null without stitch
};
TORCH_MODULE(Block);

}  // namespace distill::models
