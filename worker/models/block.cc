// The transformer block.
#include "worker/models/block.h"

namespace distill::models {
namespace {

// Places of random numbers within a block.
enum RandomUse : int64_t { kAttentionPath, kMlpPath, kAttentionDropout, kMlpDropout };

// x + branch. A branch that no gradient flows through is ours alone and takes the sum.
torch::Tensor AddBranch(const torch::Tensor& x, torch::Tensor branch) {
  const bool is_ours =
      !branch.requires_grad() && !x.requires_grad() && branch.scalar_type() == x.scalar_type();
  return is_ours ? branch.add_(x) : x + branch;
}

}  // namespace

BlockImpl::BlockImpl(const StageConfig& stage, const BlockConfig& block)
    : drop_path_(block.drop_path),
      dropout_(stage.vit.dropout),
      norm1_(stage.vit.embed_dim, stage.vit.layer_norm_epsilon),
      attn_(stage.vit.embed_dim, stage.vit.heads, stage.vit.qkv_bias),
      norm2_(stage.vit.embed_dim, stage.vit.layer_norm_epsilon) {
  const int64_t width = stage.vit.embed_dim, hidden = HiddenWidth(stage.vit);
  if (block.pre_stitch) {
    pre_stitch_ = register_module("pre_stitch", Stitch(stage.stitch_width, width));
  }
  register_module("norm1", norm1_);
  register_module("attn", attn_);
  register_module("norm2", norm2_);
  if (block.mixture_of_experts) {
    moe_ = register_module(
        "moe", MixtureOfExperts(width, hidden, stage.experts, stage.top_k, stage.router));
  } else {
    mlp_ = register_module("mlp", Mlp(width, hidden, dropout_));
  }
  if (block.post_stitch) {
    post_stitch_ = register_module("post_stitch", Stitch(width, stage.stitch_width));
  }
}

torch::Tensor BlockImpl::forward(torch::Tensor x, const ForwardContext& context) {
  return Run(std::move(x), std::nullopt, context);
}

torch::Tensor BlockImpl::ForwardClassToken(const torch::Tensor& x, const ForwardContext& context) {
  // Where tokens compete for experts, the others decide what becomes of the first.
  if (moe_ && !moe_->routes_tokens_alone()) return Run(x, std::nullopt, context).narrow(1, 0, 1);
  return Run(x, 1, context);
}

torch::Tensor BlockImpl::Run(torch::Tensor x, std::optional<int64_t> queries,
                             const ForwardContext& context) {
  if (pre_stitch_) x = pre_stitch_(x);
  torch::Tensor branch =
      Dropout(attn_->forward(norm1_(x), queries), dropout_, context.At(kAttentionDropout));
  if (queries.has_value()) x = x.narrow(1, 0, *queries);
  x = AddBranch(x, DropPath(branch, drop_path_, context.At(kAttentionPath)));
  const torch::Tensor normal = norm2_(x);
  branch = moe_ ? moe_(normal, context) : mlp_(normal, context.At(kMlpDropout));
  x = AddBranch(x, DropPath(branch, drop_path_, context.At(kMlpPath)));
  return post_stitch_ ? post_stitch_(x) : x;
}

}  // namespace distill::models
