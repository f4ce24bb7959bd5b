// What a model looks like: plain structs that say how wide and how deep it is, checked once and
// turned into one StageConfig per module. A ViT is a V-MoE whose blocks are all dense.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/models/routing/router_config.h"

namespace distill::models {

// A staged Vision Transformer: a chain of modules ("stages"), each a run of blocks.
struct VitConfig {
  int64_t image_size = 28;  // pixels, square
  int64_t channels = 1;
  int64_t patch_size = 7;  // divides image_size
  int64_t embed_dim = 64;
  int64_t heads = 4;  // divides embed_dim
  double mlp_ratio = 4.0;
  bool qkv_bias = true;
  double layer_norm_epsilon = 1e-6;
  std::vector<int64_t> stage_depths;  // blocks per stage, each at least 1
  int64_t classes = 10;
  double drop_path = 0.0;  // rate of the last block; ramps up linearly from 0 at the first
  double dropout = 0.0;
};

// Which part of a chain a model is. A student module is a model of one stage with its role.
enum class StageRole { kWhole, kFirst, kMiddle, kLast };

// A ViT in which some blocks hold a mixture of experts instead of the MLP, optionally with
// stitches: LayerNorm and Linear from and to the width of another model.
struct VmoeConfig {
  VitConfig vit;
  StageRole role = StageRole::kWhole;
  int64_t experts = 8;
  int64_t top_k = 2;  // experts that a token visits
  RouterConfig router;
  // Positions of blocks, counted over all stages from 0, each named once.
  std::vector<int64_t> moe_blocks;
  std::vector<int64_t> pre_stitch_blocks;
  std::vector<int64_t> post_stitch_blocks;
  int64_t stitch_width = 0;  // required when there are stitches
};

struct BlockConfig {
  bool mixture_of_experts = false;
  bool pre_stitch = false;
  bool post_stitch = false;
  double drop_path = 0.0;
};

// One stage, complete in itself: what VitStage is built from.
struct StageConfig {
  VitConfig vit;  // stage_depths is not looked at
  int64_t experts = 0;
  int64_t top_k = 0;
  RouterConfig router;
  int64_t stitch_width = 0;
  bool has_embedding = false;  // takes pixels instead of tokens
  bool has_head = false;       // gives logits instead of tokens
  std::vector<BlockConfig> blocks;
};

// One StageConfig per entry of stage_depths.
// Errors: kInvalidArgument naming the field that is wrong.
absl::StatusOr<std::vector<StageConfig>> StagesOf(const VitConfig& config);
absl::StatusOr<std::vector<StageConfig>> StagesOf(const VmoeConfig& config);

// Patches of an image plus the class token.
int64_t TokenCount(const VitConfig& config);

// Width of the hidden layer of an MLP or an expert.
int64_t HiddenWidth(const VitConfig& config);

}  // namespace distill::models
