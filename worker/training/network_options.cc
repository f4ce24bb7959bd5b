// Maps the fields of networks, kind by kind.
#include "worker/training/network_options.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "storage/weights/stage_depths.h"

namespace distill::training {
namespace {

// Modules of a NAC that are no layer: the read-in and the read-out.
constexpr int64_t kOuterModules = 2;

absl::StatusOr<models::RouterKind> KindOf(v1::RouterKind kind) {
  switch (kind) {
    case v1::ROUTER_KIND_UNSPECIFIED:
    case v1::ROUTER_KIND_TOP_K:
      return models::RouterKind::kTopK;
    case v1::ROUTER_KIND_GSHARD:
      return models::RouterKind::kGshard;
    case v1::ROUTER_KIND_SWITCH:
      return models::RouterKind::kSwitch;
    case v1::ROUTER_KIND_NOISY_TOP_K:
      return models::RouterKind::kNoisyTopK;
    case v1::ROUTER_KIND_VMOE:
      return models::RouterKind::kVmoe;
    case v1::ROUTER_KIND_EXPERT_CHOICE:
      return models::RouterKind::kExpertChoice;
    default:
      return absl::InvalidArgumentError(absl::StrCat(
          "cannot build network: student.vmoe.router.kind: unknown; got=", static_cast<int>(kind)));
  }
}

void SetShapes(const v1::NacSpec& nac, models::NacConfig* config) {
  if (nac.has_state_dim()) config->state_dim = nac.state_dim();
  if (nac.has_code_dim()) config->code_dim = nac.code_dim();
  if (nac.has_signature_dim()) config->signature_dim = nac.signature_dim();
  if (nac.has_input_latents()) config->input_latents = nac.input_latents();
  if (nac.has_mediator_latents()) config->mediator_latents = nac.mediator_latents();
  if (nac.has_output_latents()) config->output_latents = nac.output_latents();
  if (nac.has_heads()) config->heads = nac.heads();
  if (nac.has_head_dim()) config->head_dim = nac.head_dim();
  if (nac.has_ffn_capacity_factor()) config->ffn_capacity_factor = nac.ffn_capacity_factor();
  if (nac.tokenizer_depths_size() > 0) {
    config->tokenizer_depths.assign(nac.tokenizer_depths().begin(), nac.tokenizer_depths().end());
  }
  if (nac.has_tokenizer_stem()) config->tokenizer_stem = nac.tokenizer_stem();
  if (nac.has_grid_channels()) config->grid_channels = nac.grid_channels();
  config->share_layers = nac.share_layers();
}

}  // namespace

models::VitConfig VitConfigOf(const NetworkFrame& frame, const v1::VitSpec& vit) {
  models::VitConfig config;
  config.image_size = frame.image_size;
  config.channels = frame.channels;
  config.patch_size = frame.patch_size;
  config.embed_dim = vit.embed_dim();
  config.heads = vit.heads();
  config.mlp_ratio = vit.mlp_ratio();
  config.qkv_bias = vit.qkv_bias();
  config.layer_norm_epsilon = vit.layer_norm_epsilon();
  config.stage_depths = storage::StageDepths(vit, frame.modules);
  config.classes = frame.classes;
  return config;
}

absl::StatusOr<models::VmoeConfig> VmoeConfigOf(const NetworkFrame& frame,
                                                const v1::VmoeSpec& vmoe) {
  models::VmoeConfig config;
  config.vit = VitConfigOf(frame, vmoe.backbone());
  config.experts = vmoe.experts();
  config.top_k = vmoe.top_k();
  DISTILL_ASSIGN_OR_RETURN(config.router, RouterConfigOf(vmoe.router()));
  config.moe_blocks.assign(vmoe.moe_blocks().begin(), vmoe.moe_blocks().end());
  return config;
}

void AddStitches(int64_t width, models::VmoeConfig* config) {
  config->stitch_width = width;
  const std::vector<int64_t>& depths = config->vit.stage_depths;
  int64_t begin = 0;
  for (size_t s = 0; s < depths.size(); ++s) {
    const int64_t end = begin + depths[s];
    if (s > 0) config->pre_stitch_blocks.push_back(begin);
    if (s + 1 < depths.size()) config->post_stitch_blocks.push_back(end - 1);
    begin = end;
  }
}

absl::StatusOr<models::RouterConfig> RouterConfigOf(const v1::RouterSpec& spec) {
  DISTILL_ASSIGN_OR_RETURN(const models::RouterKind kind, KindOf(spec.kind()));
  models::RouterConfig config = models::DefaultRouter(kind);
  if (kind == models::RouterKind::kTopK) return config;
  if (spec.has_capacity_factor()) {
    config.capacity_factor = spec.capacity_factor();
    // Evaluation follows training, except that GShard has a default of its own.
    if (kind != models::RouterKind::kGshard) {
      config.evaluation_capacity_factor = spec.capacity_factor();
    }
  }
  if (spec.has_evaluation_capacity_factor()) {
    config.evaluation_capacity_factor = spec.evaluation_capacity_factor();
  }
  if (spec.has_noise()) config.noise = spec.noise();
  if (spec.has_balance_weight()) config.balance_weight = spec.balance_weight();
  if (spec.has_importance_weight()) config.importance_weight = spec.importance_weight();
  if (spec.has_load_weight()) config.load_weight = spec.load_weight();
  if (spec.has_batch_priority()) config.batch_priority = spec.batch_priority();
  if (spec.has_group_images()) config.group_images = spec.group_images();
  return config;
}

absl::StatusOr<models::NacConfig> NacConfigOf(const NetworkFrame& frame, const v1::NacSpec& nac) {
  if (frame.modules <= kOuterModules) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot build network: modules: a NAC has a read-in, mediator layers and a read-out, at "
        "least 3; got=",
        frame.modules));
  }
  models::NacConfig config;
  config.image_size = frame.image_size;
  config.channels = frame.channels;
  config.classes = frame.classes;
  config.layers = frame.modules - kOuterModules;
  SetShapes(nac, &config);
  if (nac.has_layer_scale()) config.layer_scale = nac.layer_scale();
  if (nac.has_code_noise()) config.code_noise = nac.code_noise();
  if (nac.has_truncation()) config.truncation = nac.truncation();
  config.cut_links =
      nac.reference_link_sampling() ? models::CutLinks::kReference : models::CutLinks::kRemoved;
  config.bandwidth_form =
      nac.reference_bandwidth() ? models::BandwidthForm::kFree : models::BandwidthForm::kPositive;
  config.stochastic_evaluation = nac.stochastic_evaluation();
  return config;
}

absl::StatusOr<models::NacModuleConfig> NacModuleConfigOf(const NetworkFrame& frame,
                                                          const v1::NacSpec& nac, int64_t index,
                                                          int64_t stitch_width) {
  models::NacModuleConfig config;
  DISTILL_ASSIGN_OR_RETURN(config.nac, NacConfigOf(frame, nac));
  config.kind = models::NacModuleKindAt(config.nac, index);
  config.stitch_width = stitch_width;
  config.codes = ModuleCodesOf(nac.codes());
  config.reference_read_in_scale = nac.reference_read_in_scale();
  return config;
}

models::ModuleCodes ModuleCodesOf(v1::NacCodes codes) {
  switch (codes) {
    case v1::NAC_CODES_LEARNED:
      return models::ModuleCodes::kLearned;
    case v1::NAC_CODES_TRANSFERRED:
      return models::ModuleCodes::kTransferred;
    default:
      return models::ModuleCodes::kConstant;
  }
}

}  // namespace distill::training
