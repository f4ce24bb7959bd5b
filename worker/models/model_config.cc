// Checks model configurations and lays out their stages.
#include "worker/models/model_config.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace distill::models {
namespace {

absl::Status Invalid(absl::string_view field, absl::string_view cause) {
  return absl::InvalidArgumentError(absl::StrCat("cannot build model: ", field, " ", cause));
}

absl::Status CheckRate(absl::string_view field, double rate) {
  if (rate >= 0.0 && rate < 1.0) return absl::OkStatus();
  return Invalid(field, absl::StrCat("must be in [0, 1); got=", rate));
}

absl::Status CheckPositive(absl::string_view field, int64_t value) {
  if (value > 0) return absl::OkStatus();
  return Invalid(field, absl::StrCat("must be positive; got=", value));
}

absl::Status CheckVit(const VitConfig& config) {
  DISTILL_RETURN_IF_ERROR(CheckPositive("image_size", config.image_size));
  DISTILL_RETURN_IF_ERROR(CheckPositive("channels", config.channels));
  DISTILL_RETURN_IF_ERROR(CheckPositive("patch_size", config.patch_size));
  DISTILL_RETURN_IF_ERROR(CheckPositive("embed_dim", config.embed_dim));
  DISTILL_RETURN_IF_ERROR(CheckPositive("heads", config.heads));
  DISTILL_RETURN_IF_ERROR(CheckPositive("classes", config.classes));
  DISTILL_RETURN_IF_ERROR(CheckRate("drop_path", config.drop_path));
  DISTILL_RETURN_IF_ERROR(CheckRate("dropout", config.dropout));
  if (config.image_size % config.patch_size != 0) {
    return Invalid("patch_size",
                   absl::StrCat("must divide image_size; patch_size=", config.patch_size,
                                " image_size=", config.image_size));
  }
  if (config.embed_dim % config.heads != 0) {
    return Invalid("heads", absl::StrCat("must divide embed_dim; heads=", config.heads,
                                         " embed_dim=", config.embed_dim));
  }
  if (HiddenWidth(config) < 1) {
    return Invalid("mlp_ratio", absl::StrCat("leaves no hidden unit; got=", config.mlp_ratio));
  }
  if (!(config.layer_norm_epsilon > 0.0)) {
    return Invalid("layer_norm_epsilon", "must be positive");
  }
  if (config.stage_depths.empty()) return Invalid("stage_depths", "must name at least one stage");
  for (const int64_t depth : config.stage_depths) {
    DISTILL_RETURN_IF_ERROR(CheckPositive("stage_depths", depth));
  }
  return absl::OkStatus();
}

absl::Status CheckPositions(absl::string_view field, const std::vector<int64_t>& positions,
                            int64_t depth) {
  std::set<int64_t> named;
  for (const int64_t position : positions) {
    if (position < 0 || position >= depth) {
      return Invalid(field, absl::StrCat("names a block that does not exist; block=", position,
                                         " blocks=", depth));
    }
    if (!named.insert(position).second) {
      return Invalid(field, absl::StrCat("names a block twice; block=", position));
    }
  }
  return absl::OkStatus();
}

bool Contains(const std::vector<int64_t>& positions, int64_t position) {
  return std::find(positions.begin(), positions.end(), position) != positions.end();
}

}  // namespace

absl::StatusOr<std::vector<StageConfig>> StagesOf(const VitConfig& config) {
  VmoeConfig vmoe;
  vmoe.vit = config;
  return StagesOf(vmoe);
}

absl::StatusOr<std::vector<StageConfig>> StagesOf(const VmoeConfig& config) {
  const VitConfig& vit = config.vit;
  DISTILL_RETURN_IF_ERROR(CheckVit(vit));
  const int64_t depth =
      std::accumulate(vit.stage_depths.begin(), vit.stage_depths.end(), int64_t{0});
  DISTILL_RETURN_IF_ERROR(CheckPositions("moe_blocks", config.moe_blocks, depth));
  DISTILL_RETURN_IF_ERROR(CheckPositions("pre_stitch_blocks", config.pre_stitch_blocks, depth));
  DISTILL_RETURN_IF_ERROR(CheckPositions("post_stitch_blocks", config.post_stitch_blocks, depth));
  if (!config.moe_blocks.empty()) {
    DISTILL_RETURN_IF_ERROR(CheckPositive("experts", config.experts));
    if (config.top_k < 1 || config.top_k > config.experts) {
      return Invalid("top_k", absl::StrCat("must be in [1, experts]; top_k=", config.top_k,
                                           " experts=", config.experts));
    }
    DISTILL_RETURN_IF_ERROR(CheckRouter(config.router, config.experts, config.top_k));
  }
  if (!config.pre_stitch_blocks.empty() || !config.post_stitch_blocks.empty()) {
    DISTILL_RETURN_IF_ERROR(CheckPositive("stitch_width", config.stitch_width));
  }

  std::vector<StageConfig> stages;
  int64_t position = 0;
  for (size_t s = 0; s < vit.stage_depths.size(); ++s) {
    StageConfig stage;
    stage.vit = vit;
    stage.experts = config.experts;
    stage.top_k = config.top_k;
    stage.router = config.router;
    stage.stitch_width = config.stitch_width;
    stage.has_embedding =
        s == 0 && (config.role == StageRole::kWhole || config.role == StageRole::kFirst);
    stage.has_head = s + 1 == vit.stage_depths.size() &&
                     (config.role == StageRole::kWhole || config.role == StageRole::kLast);
    for (int64_t b = 0; b < vit.stage_depths[s]; ++b, ++position) {
      BlockConfig block;
      block.mixture_of_experts = Contains(config.moe_blocks, position);
      block.pre_stitch = Contains(config.pre_stitch_blocks, position);
      block.post_stitch = Contains(config.post_stitch_blocks, position);
      block.drop_path = depth == 1 ? 0.0
                                   : vit.drop_path * static_cast<double>(position) /
                                         static_cast<double>(depth - 1);
      stage.blocks.push_back(block);
    }
    stages.push_back(std::move(stage));
  }
  return stages;
}

int64_t TokenCount(const VitConfig& config) {
  const int64_t side = config.image_size / config.patch_size;
  return side * side + 1;
}

int64_t HiddenWidth(const VitConfig& config) {
  return static_cast<int64_t>(std::floor(static_cast<double>(config.embed_dim) * config.mlp_ratio));
}

}  // namespace distill::models
