// One list of fields serves writing and reading.
#include "worker/models/nac/nac_architecture.h"

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"

namespace distill::models {

NLOHMANN_JSON_SERIALIZE_ENUM(CutLinks,
                             {{CutLinks::kRemoved, "removed"}, {CutLinks::kReference, "reference"}})
NLOHMANN_JSON_SERIALIZE_ENUM(BandwidthForm, {{BandwidthForm::kPositive, "positive"},
                                             {BandwidthForm::kFree, "free"}})
NLOHMANN_JSON_SERIALIZE_ENUM(ModuleCodes, {{ModuleCodes::kConstant, "constant"},
                                           {ModuleCodes::kLearned, "learned"},
                                           {ModuleCodes::kTransferred, "transferred"}})
NLOHMANN_JSON_SERIALIZE_ENUM(NacModuleKind, {{NacModuleKind::kReadIn, "read_in"},
                                             {NacModuleKind::kMediator, "mediator"},
                                             {NacModuleKind::kReadOut, "read_out"}})
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(NacConfig, image_size, channels, classes, state_dim, code_dim,
                                   signature_dim, input_latents, mediator_latents, output_latents,
                                   layers, share_layers, heads, head_dim, qkv_bias,
                                   ffn_capacity_factor, geglu, tokenizer_depths, tokenizer_stem,
                                   grid_channels, layer_scale, scale_gain, drop_path, code_noise,
                                   state_noise, truncation, sample_links, link_temperature,
                                   cut_links, bandwidth_form, stochastic_evaluation, gumbel_pooling,
                                   kept_stitch_width)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(NacModuleConfig, nac, kind, stitch_width, codes,
                                   reference_read_in_scale)

namespace {

template <typename Config>
absl::StatusOr<Config> Parse(absl::string_view text) {
  Config config;
  nlohmann::json json;
  try {
    json = nlohmann::json::parse(text.begin(), text.end());
    config = json.get<Config>();
  } catch (const nlohmann::json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("cannot read NAC architecture: ", error.what()));
  }
  // What it does not know the reader would silently leave out, and a wrong enumerator it takes for
  // the first: both show when the result is written again.
  if (nlohmann::json(config) != json) {
    const nlohmann::json difference = nlohmann::json::diff(nlohmann::json(config), json);
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot read NAC architecture: unknown key or value; difference=", difference.dump()));
  }
  return config;
}

}  // namespace

std::string NacArchitecture(const NacConfig& config) { return nlohmann::json(config).dump(); }

std::string NacModuleArchitecture(const NacModuleConfig& config) {
  return nlohmann::json(config).dump();
}

absl::StatusOr<NacConfig> ParseNacArchitecture(absl::string_view json) {
  DISTILL_ASSIGN_OR_RETURN(const NacConfig config, Parse<NacConfig>(json));
  DISTILL_RETURN_IF_ERROR(CheckNacConfig(config));
  return config;
}

absl::StatusOr<NacModuleConfig> ParseNacModuleArchitecture(absl::string_view json) {
  DISTILL_ASSIGN_OR_RETURN(const NacModuleConfig config, Parse<NacModuleConfig>(json));
  DISTILL_RETURN_IF_ERROR(CheckNacModuleConfig(config));
  return config;
}

}  // namespace distill::models
