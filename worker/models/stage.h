// One module of a chain: a run of blocks, with the embedding if it is the first and the classifier
// if it is the last. Its parameter names are those of the reference's stage state dicts, with block
// numbers that start at 0 in every stage (experts excepted, which are stacked: see state.h).
//
// Legend: B batch, T tokens (class token first), D width, K classes.
#pragma once

#include <torch/torch.h>

#include "worker/models/block.h"
#include "worker/models/forward_context.h"
#include "worker/models/layers.h"
#include "worker/models/model_config.h"

namespace distill::models {

// Cuts images [B, C, H, W] into square patches and projects them: [B, patches, D], row by row.
class PatchEmbedImpl : public torch::nn::Module {
 public:
  explicit PatchEmbedImpl(const VitConfig& config);
  torch::Tensor forward(const torch::Tensor& pixels);

 private:
  struct ProjectionImpl : torch::nn::Module {
    ProjectionImpl(int64_t channels, int64_t patch, int64_t width)
        : weight(register_parameter("weight", torch::zeros({width, channels, patch, patch}))),
          bias(register_parameter("bias", torch::zeros({width}))) {}
    torch::Tensor weight, bias;
  };
  int64_t image_size_, channels_, patch_;
  std::shared_ptr<ProjectionImpl> proj_;  // Shared with LibTorch's registry.
};
TORCH_MODULE(PatchEmbed);

class VitStageImpl : public torch::nn::Module {
 public:
  // All parameters start at zero, LayerNorm weights at one: see initialization.h.
  explicit VitStageImpl(const StageConfig& config);

  // x: pixels [B, C, H, W] if config().has_embedding, otherwise tokens [B, T, width in].
  // Returns logits [B, K] if config().has_head, otherwise tokens [B, T, width out]. Width in and
  // out are D, or the stitch width where the first or last block has a stitch. `context` is that
  // of this stage: ForwardContext::At(position in the chain).
  torch::Tensor forward(torch::Tensor x, const ForwardContext& context);

  // The two halves of forward() where config().has_head: what the head takes, [B, D], and what it
  // makes of that.
  torch::Tensor Features(torch::Tensor x, const ForwardContext& context);
  torch::Tensor Classify(const torch::Tensor& features) { return head_(features); }

  const StageConfig& config() const { return config_; }

 private:
  // Runs the embedding and the first `count` blocks.
  torch::Tensor RunBlocks(torch::Tensor x, size_t count, const ForwardContext& context);
  torch::Tensor Embed(const torch::Tensor& pixels, const ForwardContext& context);

  const StageConfig config_;
  torch::Tensor cls_token_;  // [1, 1, D], undefined without embedding
  torch::Tensor pos_embed_;  // [1, T, D], undefined without embedding
  PatchEmbed patch_embed_{nullptr};
  torch::nn::ModuleList blocks_;
  LayerNorm norm_{nullptr};
  Linear head_{nullptr};
};
TORCH_MODULE(VitStage);

}  // namespace distill::models
