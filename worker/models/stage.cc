// Embedding, blocks and classifier of one module.
#include "worker/models/stage.h"

#include <utility>

namespace distill::models {
namespace {

// The place of the embedding's dropout among the random numbers of a stage, beyond any block.
constexpr int64_t kEmbeddingDropout = -1;

}  // namespace

PatchEmbedImpl::PatchEmbedImpl(const VitConfig& config)
    : image_size_(config.image_size),
      channels_(config.channels),
      patch_(config.patch_size),
      proj_(register_module("proj", std::make_shared<ProjectionImpl>(
                                        config.channels, config.patch_size, config.embed_dim))) {}

torch::Tensor PatchEmbedImpl::forward(const torch::Tensor& pixels) {
  TORCH_CHECK(pixels.dim() == 4 && pixels.size(1) == channels_ && pixels.size(2) == image_size_ &&
                  pixels.size(3) == image_size_,
              "cannot embed images: wrong shape; got=", pixels.sizes(), " want=[B, ", channels_,
              ", ", image_size_, ", ", image_size_, "]");
  const int64_t batch = pixels.size(0), side = image_size_ / patch_;
  // A convolution whose stride is its kernel is a product with the patches as rows.
  const torch::Tensor patches = pixels.reshape({batch, channels_, side, patch_, side, patch_})
                                    .permute({0, 2, 4, 1, 3, 5})
                                    .reshape({batch, side * side, channels_ * patch_ * patch_});
  return torch::linear(patches, proj_->weight.flatten(1), proj_->bias);
}

VitStageImpl::VitStageImpl(const StageConfig& config) : config_(config) {
  const VitConfig& vit = config.vit;
  if (config.has_embedding) {
    cls_token_ = register_parameter("cls_token", torch::zeros({1, 1, vit.embed_dim}));
    pos_embed_ = register_parameter("pos_embed", torch::zeros({1, TokenCount(vit), vit.embed_dim}));
    patch_embed_ = register_module("patch_embed", PatchEmbed(vit));
  }
  register_module("blocks", blocks_);
  for (const BlockConfig& block : config.blocks) blocks_->push_back(Block(config, block));
  if (config.has_head) {
    norm_ = register_module("norm", LayerNorm(vit.embed_dim, vit.layer_norm_epsilon));
    head_ = register_module("head", Linear(vit.embed_dim, vit.classes));
  }
}

torch::Tensor VitStageImpl::forward(torch::Tensor x, const ForwardContext& context) {
  if (config_.has_head) return Classify(Features(std::move(x), context));
  return RunBlocks(std::move(x), blocks_->size(), context);
}

torch::Tensor VitStageImpl::Features(torch::Tensor x, const ForwardContext& context) {
  // Only the class token is classified, so the last block before the head computes no other.
  const size_t last = blocks_->size() - 1;
  x = RunBlocks(std::move(x), last, context);
  x = blocks_->ptr<BlockImpl>(last)->ForwardClassToken(x, context.At(static_cast<int64_t>(last)));
  return norm_(x.select(1, 0));
}

torch::Tensor VitStageImpl::RunBlocks(torch::Tensor x, size_t count,
                                      const ForwardContext& context) {
  if (config_.has_embedding) x = Embed(x, context);
  for (size_t b = 0; b < count; ++b) {
    x = blocks_->ptr<BlockImpl>(b)->forward(x, context.At(static_cast<int64_t>(b)));
  }
  return x;
}

torch::Tensor VitStageImpl::Embed(const torch::Tensor& pixels, const ForwardContext& context) {
  const torch::Tensor patches = patch_embed_(pixels);
  const torch::Tensor tokens =
      torch::cat({cls_token_.expand({pixels.size(0), -1, -1}), patches}, 1);
  return Dropout(tokens + pos_embed_, config_.vit.dropout, context.At(kEmbeddingDropout));
}

}  // namespace distill::models
