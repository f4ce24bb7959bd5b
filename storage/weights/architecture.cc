// Reads, completes and checks descriptions of networks.
#include "storage/weights/architecture.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "storage/weights/vit_preset.h"

namespace distill::storage {
namespace {

constexpr uint64_t kMaxFileBytes = 1 << 20;
// Far above any model; they bound what a hostile description may cost.
constexpr int64_t kMaxWidth = 1 << 16;
constexpr int64_t kMaxBlocks = 4096;
constexpr int64_t kMaxExperts = 4096;
constexpr int64_t kMaxExpertsInAll = 100'000;
constexpr int64_t kMaxImageSize = 1 << 14;
constexpr int64_t kMaxClasses = 10'000'000;

absl::Status Invalid(absl::string_view field, absl::string_view cause) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", cause));
}

absl::Status CheckRange(absl::string_view field, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return Invalid(field, absl::StrCat("must be ", least, " to ", most, "; got=", value));
}

absl::Status FillPreset(absl::string_view field, v1::VitSpec* vit) {
  const VitPreset* const preset = FindVitPreset(vit->preset());
  if (preset == nullptr) {
    return Invalid(absl::StrCat(field, ".preset"),
                   absl::StrCat("unknown; got=", vit->preset(), " want one of ",
                                absl::StrJoin(VitPresetNames(), " ")));
  }
  if (!vit->has_embed_dim()) vit->set_embed_dim(preset->embed_dim);
  if (!vit->has_heads()) vit->set_heads(preset->heads);
  if (!vit->has_qkv_bias()) vit->set_qkv_bias(preset->qkv_bias);
  if (!vit->has_layer_norm_epsilon()) vit->set_layer_norm_epsilon(preset->layer_norm_epsilon);
  vit->clear_preset();
  return absl::OkStatus();
}

absl::Status ResolveVit(absl::string_view field, v1::VitSpec* vit) {
  if (vit->has_preset()) DISTILL_RETURN_IF_ERROR(FillPreset(field, vit));
  if (!vit->has_mlp_ratio()) vit->set_mlp_ratio(4.0);
  if (!vit->has_qkv_bias()) vit->set_qkv_bias(true);
  if (!vit->has_layer_norm_epsilon()) vit->set_layer_norm_epsilon(1e-6);
  DISTILL_RETURN_IF_ERROR(
      CheckRange(absl::StrCat(field, ".embed_dim"), vit->embed_dim(), 1, kMaxWidth));
  DISTILL_RETURN_IF_ERROR(
      CheckRange(absl::StrCat(field, ".heads"), vit->heads(), 1, vit->embed_dim()));
  if (vit->embed_dim() % vit->heads() != 0) {
    return Invalid(
        absl::StrCat(field, ".heads"),
        absl::StrCat("must divide embed_dim; got=", vit->heads(), " embed_dim=", vit->embed_dim()));
  }
  if (!(vit->mlp_ratio() * vit->embed_dim() >= 1.0 && vit->mlp_ratio() <= 64.0)) {
    return Invalid(
        absl::StrCat(field, ".mlp_ratio"),
        absl::StrCat("must be up to 64 and leave a hidden unit; got=", vit->mlp_ratio()));
  }
  if (!(vit->layer_norm_epsilon() > 0.0)) {
    return Invalid(absl::StrCat(field, ".layer_norm_epsilon"), "must be positive");
  }
  int64_t blocks = 0;
  for (const int32_t depth : vit->stage_depths()) {
    DISTILL_RETURN_IF_ERROR(CheckRange(absl::StrCat(field, ".stage_depths"), depth, 1, kMaxBlocks));
    blocks += depth;
  }
  DISTILL_RETURN_IF_ERROR(
      CheckRange(absl::StrCat("blocks of ", field, ".stage_depths"), blocks, 1, kMaxBlocks));
  if (vit->has_depth() && vit->depth() != blocks) {
    return Invalid(
        absl::StrCat(field, ".depth"),
        absl::StrCat("must be the sum of stage_depths; got=", vit->depth(), " sum=", blocks));
  }
  vit->set_depth(static_cast<int32_t>(blocks));
  return absl::OkStatus();
}

// Turns names such as "every_2" into positions.
absl::Status PlaceExperts(v1::VmoeSpec* vmoe) {
  const int32_t depth = vmoe->backbone().depth();
  const std::string placement = vmoe->moe_placement();
  vmoe->clear_moe_placement();
  if (!vmoe->moe_blocks().empty() && !placement.empty()) {
    return Invalid("vmoe.moe_placement", "stands beside moe_blocks; give one of them");
  }
  if (!vmoe->moe_blocks().empty()) return absl::OkStatus();
  int32_t last = depth / 2;
  if (placement.empty() || placement == "all") {
    for (int32_t b = 0; b < depth; ++b) vmoe->add_moe_blocks(b);
    return absl::OkStatus();
  }
  absl::string_view count = placement;
  if (absl::ConsumePrefix(&count, "last_")) {
    if (!absl::SimpleAtoi(count, &last) || last < 1 || last > depth / 2) {
      return Invalid("vmoe.moe_placement",
                     absl::StrCat("there are ", depth / 2, " odd blocks; got=", placement));
    }
  } else if (placement != "every_2") {
    return Invalid("vmoe.moe_placement",
                   absl::StrCat("must be all, every_2 or last_N; got=", placement));
  }
  for (int32_t odd = depth / 2 - last; odd < depth / 2; ++odd) vmoe->add_moe_blocks(2 * odd + 1);
  return absl::OkStatus();
}

absl::Status ResolveVmoe(v1::VmoeSpec* vmoe) {
  DISTILL_RETURN_IF_ERROR(ResolveVit("vmoe.backbone", vmoe->mutable_backbone()));
  DISTILL_RETURN_IF_ERROR(CheckRange("vmoe.experts", vmoe->experts(), 1, kMaxExperts));
  if (!vmoe->has_top_k()) vmoe->set_top_k(std::min(2, vmoe->experts()));
  DISTILL_RETURN_IF_ERROR(CheckRange("vmoe.top_k", vmoe->top_k(), 1, vmoe->experts()));
  DISTILL_RETURN_IF_ERROR(PlaceExperts(vmoe));
  DISTILL_RETURN_IF_ERROR(CheckRange("number of vmoe.moe_blocks", vmoe->moe_blocks_size(), 1,
                                     vmoe->backbone().depth()));
  DISTILL_RETURN_IF_ERROR(CheckRange("experts in all blocks",
                                     int64_t{vmoe->moe_blocks_size()} * vmoe->experts(), 1,
                                     kMaxExpertsInAll));
  for (const int32_t block : vmoe->moe_blocks()) {
    DISTILL_RETURN_IF_ERROR(CheckRange("vmoe.moe_blocks", block, 0, vmoe->backbone().depth() - 1));
  }
  return absl::OkStatus();
}

void SetDefault(void (v1::NacSpec::*set)(int32_t), bool is_set, int32_t value, v1::NacSpec* nac) {
  if (!is_set) (nac->*set)(value);
}

absl::Status ResolveNac(v1::NacSpec* nac) {
  using Spec = v1::NacSpec;
  SetDefault(&Spec::set_state_dim, nac->has_state_dim(), 64, nac);
  SetDefault(&Spec::set_code_dim, nac->has_code_dim(), nac->state_dim(), nac);
  SetDefault(&Spec::set_signature_dim, nac->has_signature_dim(), 64, nac);
  SetDefault(&Spec::set_input_latents, nac->has_input_latents(), 16, nac);
  SetDefault(&Spec::set_mediator_latents, nac->has_mediator_latents(), 64, nac);
  SetDefault(&Spec::set_output_latents, nac->has_output_latents(), 16, nac);
  SetDefault(&Spec::set_heads, nac->has_heads(), 4, nac);
  SetDefault(&Spec::set_head_dim, nac->has_head_dim(), 16, nac);
  SetDefault(&Spec::set_tokenizer_stem, nac->has_tokenizer_stem(), 4, nac);
  SetDefault(&Spec::set_grid_channels, nac->has_grid_channels(), 64, nac);
  if (!nac->has_ffn_capacity_factor()) nac->set_ffn_capacity_factor(2.0);
  if (!nac->has_layer_scale()) nac->set_layer_scale(0.1);
  if (!nac->has_truncation()) nac->set_truncation(0.9);
  if (nac->tokenizer_depths().empty()) {
    nac->add_tokenizer_depths(1);
    nac->add_tokenizer_depths(1);
  }
  const std::pair<absl::string_view, int32_t> widths[] = {
      {"nac.state_dim", nac->state_dim()},
      {"nac.code_dim", nac->code_dim()},
      {"nac.signature_dim", nac->signature_dim()},
      {"nac.input_latents", nac->input_latents()},
      {"nac.mediator_latents", nac->mediator_latents()},
      {"nac.output_latents", nac->output_latents()},
      {"nac.heads", nac->heads()},
      {"nac.head_dim", nac->head_dim()},
      {"nac.tokenizer_stem", nac->tokenizer_stem()}};
  for (const auto& [field, value] : widths) {
    DISTILL_RETURN_IF_ERROR(CheckRange(field, value, 1, kMaxWidth));
  }
  DISTILL_RETURN_IF_ERROR(CheckRange("nac.grid_channels", nac->grid_channels(), 0, kMaxWidth));
  DISTILL_RETURN_IF_ERROR(
      CheckRange("number of nac.tokenizer_depths", nac->tokenizer_depths_size(), 1, 8));
  for (const int32_t depth : nac->tokenizer_depths()) {
    DISTILL_RETURN_IF_ERROR(CheckRange("nac.tokenizer_depths", depth, 0, kMaxBlocks));
  }
  if (nac->state_dim() % (1 << nac->tokenizer_depths_size()) != 0) {
    return Invalid("nac.state_dim",
                   absl::StrCat("must be halved by each stage of the tokenizer; got=",
                                nac->state_dim(), " stages=", nac->tokenizer_depths_size()));
  }
  if (!(nac->ffn_capacity_factor() * nac->state_dim() >= 1.0 &&
        nac->ffn_capacity_factor() <= 64.0)) {
    return Invalid("nac.ffn_capacity_factor", "must be up to 64 and leave a hidden unit");
  }
  return absl::OkStatus();
}

absl::Status ResolveNetwork(v1::ArchitectureDescription* architecture) {
  switch (architecture->network_case()) {
    case v1::ArchitectureDescription::kVit:
      return ResolveVit("vit", architecture->mutable_vit());
    case v1::ArchitectureDescription::kVmoe:
      return ResolveVmoe(architecture->mutable_vmoe());
    case v1::ArchitectureDescription::kNac:
      return ResolveNac(architecture->mutable_nac());
    case v1::ArchitectureDescription::NETWORK_NOT_SET:
      break;
  }
  return Invalid("network", "give one of vit, vmoe, nac");
}

absl::Status CheckImages(const v1::ArchitectureDescription& architecture) {
  DISTILL_RETURN_IF_ERROR(CheckRange("image_size", architecture.image_size(), 1, kMaxImageSize));
  DISTILL_RETURN_IF_ERROR(CheckRange("channels", architecture.channels(), 1, 1024));
  DISTILL_RETURN_IF_ERROR(CheckRange("classes", architecture.classes(), 1, kMaxClasses));
  if (architecture.has_nac() && (architecture.image_size() / architecture.nac().tokenizer_stem()) >>
                                        (architecture.nac().tokenizer_depths_size() - 1) ==
                                    0) {
    return Invalid("nac.tokenizer_stem", "leaves no token of the image");
  }
  if (!IsStaged(architecture) && !architecture.has_meta()) return absl::OkStatus();
  DISTILL_RETURN_IF_ERROR(
      CheckRange("patch_size", architecture.patch_size(), 1, architecture.image_size()));
  if (architecture.image_size() % architecture.patch_size() != 0) {
    return Invalid("patch_size",
                   absl::StrCat("must divide image_size; got=", architecture.patch_size(),
                                " image_size=", architecture.image_size()));
  }
  return absl::OkStatus();
}

absl::Status ResolveModules(v1::ArchitectureDescription* architecture) {
  if (IsStaged(*architecture)) {
    const int32_t stages = BackboneOf(*architecture).stage_depths_size();
    if (architecture->modules() != 0 && architecture->modules() != stages) {
      return Invalid("modules", absl::StrCat("must be the number of stage_depths; got=",
                                             architecture->modules(), " stage_depths=", stages));
    }
    architecture->set_modules(stages);
  }
  const int64_t least = architecture->has_nac() ? 3 : 1;
  DISTILL_RETURN_IF_ERROR(CheckRange("modules", architecture->modules(), least, kMaxBlocks));
  if (!architecture->has_module_index()) return absl::OkStatus();
  return CheckRange("module_index", architecture->module_index(), 0, architecture->modules() - 1);
}

absl::Status CheckStitches(const v1::ArchitectureDescription& architecture) {
  DISTILL_RETURN_IF_ERROR(CheckRange("stitch_width", architecture.stitch_width(), 0, kMaxWidth));
  if (architecture.has_vit() && architecture.stitch_width() != 0) {
    return Invalid("stitch_width", "a ViT has no stitches; describe a vmoe");
  }
  if (architecture.has_nac() && architecture.has_module_index() &&
      architecture.stitch_width() == 0) {
    return Invalid("stitch_width", "is required for a module of a NAC");
  }
  return absl::OkStatus();
}

absl::Status ResolveMeta(v1::ArchitectureDescription* architecture) {
  if (!architecture->has_meta()) return absl::OkStatus();
  DISTILL_RETURN_IF_ERROR(ResolveVit("meta", architecture->mutable_meta()));
  if (!architecture->has_module_index()) {
    return Invalid("module_index", "is required beside meta: it says which module is replaced");
  }
  if (architecture->meta().stage_depths_size() != architecture->modules()) {
    return Invalid("meta.stage_depths", absl::StrCat("must have one entry per module; got=",
                                                     architecture->meta().stage_depths_size(),
                                                     " modules=", architecture->modules()));
  }
  const int32_t width = architecture->stitch_width() != 0 || !IsStaged(*architecture)
                            ? architecture->stitch_width()
                            : BackboneOf(*architecture).embed_dim();
  if (width == architecture->meta().embed_dim()) return absl::OkStatus();
  return Invalid("meta.embed_dim",
                 absl::StrCat("must be the stitch_width, or without stitches the width of the "
                              "module; got=",
                              architecture->meta().embed_dim(), " want=", width));
}

}  // namespace

absl::Status ResolveArchitecture(v1::ArchitectureDescription* architecture) {
  if (architecture->format() != kArchitectureFormat) {
    return Invalid("format", absl::StrCat("must be \"", kArchitectureFormat, "\""));
  }
  DISTILL_RETURN_IF_ERROR(ResolveNetwork(architecture));
  DISTILL_RETURN_IF_ERROR(CheckImages(*architecture));
  DISTILL_RETURN_IF_ERROR(ResolveModules(architecture));
  DISTILL_RETURN_IF_ERROR(CheckStitches(*architecture));
  return ResolveMeta(architecture);
}

absl::StatusOr<v1::ArchitectureDescription> ParseArchitecture(absl::string_view json,
                                                              absl::string_view label) {
  const std::string context = absl::StrCat("cannot read architecture ", label);
  v1::ArchitectureDescription architecture;
  const auto parsed = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(json.data(), json.size()), &architecture);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(context, ": ", std::string(parsed.message()), "; see docs/weights.md"));
  }
  DISTILL_RETURN_IF_ERROR(Annotate(ResolveArchitecture(&architecture), context));
  return architecture;
}

absl::StatusOr<v1::ArchitectureDescription> ReadArchitecture(const std::string& path) {
  DISTILL_ASSIGN_OR_RETURN(const std::string json, ReadFile(path, kMaxFileBytes));
  return ParseArchitecture(json, path);
}

std::string FormatArchitecture(const v1::ArchitectureDescription& architecture, JsonLayout layout) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = layout == JsonLayout::kIndented;
  options.preserve_proto_field_names = true;
  std::string json;
  // Fails only for Any fields, of which there are none.
  (void)google::protobuf::util::MessageToJsonString(architecture, &json, options);
  return json;
}

bool IsStaged(const v1::ArchitectureDescription& architecture) {
  return architecture.has_vit() || architecture.has_vmoe();
}

const v1::VitSpec& BackboneOf(const v1::ArchitectureDescription& architecture) {
  return architecture.has_vit() ? architecture.vit() : architecture.vmoe().backbone();
}

int64_t FirstBlock(const v1::VitSpec& vit, int64_t index) {
  int64_t first = 0;
  for (int s = 0; s < index; ++s) first += vit.stage_depths(s);
  return first;
}

bool HoldsExperts(const v1::ArchitectureDescription& architecture, int64_t position) {
  if (!architecture.has_vmoe()) return false;
  const auto& blocks = architecture.vmoe().moe_blocks();
  return std::find(blocks.begin(), blocks.end(), position) != blocks.end();
}

v1::ArchitectureDescription MetaOf(const v1::ArchitectureDescription& hybrid) {
  v1::ArchitectureDescription meta = hybrid;
  meta.clear_meta();
  meta.clear_module_index();
  meta.clear_stitch_width();
  *meta.mutable_vit() = hybrid.meta();
  return meta;
}

}  // namespace distill::storage
