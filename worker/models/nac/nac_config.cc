// Checks configurations and derives sizes from them.
#include "worker/models/nac/nac_config.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace distill::models {
namespace {

// Bounds what a job file can ask of memory; far beyond the published sizes.
constexpr int64_t kMaxSize = 1 << 20;
constexpr size_t kMaxTokenizerStages = 8;

absl::Status Invalid(absl::string_view field, absl::string_view cause) {
  return absl::InvalidArgumentError(absl::StrCat("cannot build NAC: ", field, " ", cause));
}

absl::Status CheckSize(absl::string_view field, int64_t value, int64_t least = 1) {
  if (value >= least && value <= kMaxSize) return absl::OkStatus();
  return Invalid(field,
                 absl::StrCat("must be in [", least, ", ", kMaxSize, "]; ", field, "=", value));
}

absl::Status CheckRange(absl::string_view field, double value, double low, double high) {
  if (value >= low && value <= high) return absl::OkStatus();  // false for NaN
  return Invalid(field, absl::StrCat("must be in [", low, ", ", high, "]; ", field, "=", value));
}

absl::Status CheckSizes(const NacConfig& config) {
  DISTILL_RETURN_IF_ERROR(CheckSize("image_size", config.image_size));
  DISTILL_RETURN_IF_ERROR(CheckSize("channels", config.channels));
  DISTILL_RETURN_IF_ERROR(CheckSize("classes", config.classes));
  DISTILL_RETURN_IF_ERROR(CheckSize("state_dim", config.state_dim));
  DISTILL_RETURN_IF_ERROR(CheckSize("code_dim", config.code_dim));
  DISTILL_RETURN_IF_ERROR(CheckSize("signature_dim", config.signature_dim));
  DISTILL_RETURN_IF_ERROR(CheckSize("input_latents", config.input_latents));
  DISTILL_RETURN_IF_ERROR(CheckSize("mediator_latents", config.mediator_latents));
  DISTILL_RETURN_IF_ERROR(CheckSize("output_latents", config.output_latents));
  DISTILL_RETURN_IF_ERROR(CheckSize("layers", config.layers));
  DISTILL_RETURN_IF_ERROR(CheckSize("heads", config.heads));
  DISTILL_RETURN_IF_ERROR(CheckSize("head_dim", config.head_dim));
  DISTILL_RETURN_IF_ERROR(CheckSize("grid_channels", config.grid_channels, 0));
  DISTILL_RETURN_IF_ERROR(CheckSize("kept_stitch_width", config.kept_stitch_width, 0));
  DISTILL_RETURN_IF_ERROR(CheckRange("ffn_capacity_factor", config.ffn_capacity_factor, 0.0, 64.0));
  if (FeedForwardWidth(config) < 1) {
    return Invalid("ffn_capacity_factor",
                   absl::StrCat("leaves no hidden unit; ffn_capacity_factor=",
                                config.ffn_capacity_factor, " state_dim=", config.state_dim));
  }
  return absl::OkStatus();
}

absl::Status CheckTokenizer(const NacConfig& config) {
  DISTILL_RETURN_IF_ERROR(CheckSize("tokenizer_stem", config.tokenizer_stem));
  const size_t stages = config.tokenizer_depths.size();
  if (stages == 0 || stages > kMaxTokenizerStages) {
    return Invalid("tokenizer_depths", absl::StrCat("must name 1 to ", kMaxTokenizerStages,
                                                    " stages; stages=", stages));
  }
  for (const int64_t depth : config.tokenizer_depths) {
    DISTILL_RETURN_IF_ERROR(CheckSize("tokenizer_depths", depth, 0));
  }
  const int64_t parts = int64_t{1} << stages;
  if (config.state_dim % parts != 0) {
    return Invalid("state_dim",
                   absl::StrCat("must be a multiple of 2^(tokenizer stages); state_dim=",
                                config.state_dim, " multiple_of=", parts));
  }
  if (TokenSide(config) < 1) {
    return Invalid(
        "tokenizer_stem",
        absl::StrCat("leaves no token of the image; tokenizer_stem=", config.tokenizer_stem,
                     " tokenizer_stages=", stages, " image_size=", config.image_size));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckNacConfig(const NacConfig& config) {
  DISTILL_RETURN_IF_ERROR(CheckSizes(config));
  DISTILL_RETURN_IF_ERROR(CheckTokenizer(config));
  DISTILL_RETURN_IF_ERROR(CheckRange("layer_scale", config.layer_scale, 0.0, 1e3));
  DISTILL_RETURN_IF_ERROR(CheckRange("scale_gain", config.scale_gain, -1e3, 1e3));
  DISTILL_RETURN_IF_ERROR(CheckRange("drop_path", config.drop_path, 0.0, 0.99));
  DISTILL_RETURN_IF_ERROR(CheckRange("code_noise", config.code_noise, 0.0, 1.0));
  DISTILL_RETURN_IF_ERROR(CheckRange("truncation", config.truncation, 0.0, 2.0));
  return CheckRange("link_temperature", config.link_temperature, 1e-3, 1e3);
}

absl::Status CheckNacModuleConfig(const NacModuleConfig& config) {
  DISTILL_RETURN_IF_ERROR(CheckNacConfig(config.nac));
  return CheckSize("stitch_width", config.stitch_width);
}

NacModuleKind NacModuleKindAt(const NacConfig& config, int64_t index) {
  if (index == 0) return NacModuleKind::kReadIn;
  return index == config.layers + 1 ? NacModuleKind::kReadOut : NacModuleKind::kMediator;
}

int64_t TokenSide(const NacConfig& config) {
  return config.image_size / config.tokenizer_stem >> (config.tokenizer_depths.size() - 1);
}

int64_t TokenWidth(const NacConfig& config) {
  return TokenizerWidth(config, config.tokenizer_depths.size() - 1) + config.grid_channels;
}

int64_t TokenizerWidth(const NacConfig& config, size_t stage) {
  return config.state_dim >> (config.tokenizer_depths.size() - stage);
}

int64_t AttentionWidth(const NacConfig& config) { return config.heads * config.head_dim; }

int64_t FeedForwardWidth(const NacConfig& config) {
  return static_cast<int64_t>(
      std::nearbyint(config.ffn_capacity_factor * static_cast<double>(config.state_dim)));
}

}  // namespace distill::models
