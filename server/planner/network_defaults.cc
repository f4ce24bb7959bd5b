#include "server/planner/network_defaults.h"

#include <algorithm>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "server/planner/limits.h"
#include "server/planner/set_default.h"
#include "server/planner/vit_presets.h"

namespace distill::server {
namespace {

constexpr int kVmoeWidth = 48;

void ResolveDepths(int modules, int blocks_per_module, v1::VitSpec& vit) {
  if (!vit.has_depth()) {
    if (vit.stage_depths().empty()) {
      vit.set_depth(std::clamp(modules, 0, kMostModules) * blocks_per_module);
    } else {
      int64_t sum = 0;
      for (const int depth : vit.stage_depths()) sum += depth;
      vit.set_depth(static_cast<int>(std::clamp<int64_t>(sum, -1, INT32_MAX)));
    }
  }
  const int depth = vit.depth();
  if (vit.stage_depths().empty() && modules > 0 && modules <= kMostModules &&
      depth % modules == 0) {
    for (int i = 0; i < modules; ++i) vit.add_stage_depths(depth / modules);
  }
}

struct RouterDefaults {
  double capacity_factor = 0.0;
  double evaluation_capacity_factor = 0.0;
  double noise = 0.0;
  double balance_weight = 0.0;
  double importance_weight = 0.0;
  double load_weight = 0.0;
  int group_images = 0;
};

RouterDefaults DefaultsOf(v1::RouterKind kind) {
  RouterDefaults defaults;
  switch (kind) {
    case v1::ROUTER_KIND_GSHARD:
      defaults.capacity_factor = 1.2;
      defaults.evaluation_capacity_factor = 2.4;
      defaults.balance_weight = 0.01;
      break;
    case v1::ROUTER_KIND_SWITCH:
      defaults.capacity_factor = 1.0;
      defaults.noise = 0.1;
      defaults.balance_weight = 0.01;
      break;
    case v1::ROUTER_KIND_NOISY_TOP_K:
      defaults.importance_weight = 0.005;
      defaults.load_weight = 0.005;
      break;
    case v1::ROUTER_KIND_VMOE:
      defaults.capacity_factor = 1.05;
      defaults.noise = 1.0;
      defaults.importance_weight = 0.005;
      defaults.load_weight = 0.005;
      defaults.group_images = 8;
      break;
    case v1::ROUTER_KIND_EXPERT_CHOICE:
      defaults.capacity_factor = 1.05;
      break;
    default:
      break;
  }
  return defaults;
}

void ResolveRouter(v1::RouterSpec& router) {
  DISTILL_SET_DEFAULT(&router, kind, v1::ROUTER_KIND_TOP_K);
  const RouterDefaults defaults = DefaultsOf(router.kind());
  DISTILL_SET_DEFAULT(&router, capacity_factor, defaults.capacity_factor);
  DISTILL_SET_DEFAULT(&router, evaluation_capacity_factor,
                      defaults.evaluation_capacity_factor > 0.0
                          ? defaults.evaluation_capacity_factor
                          : router.capacity_factor());
  DISTILL_SET_DEFAULT(&router, noise, defaults.noise);
  DISTILL_SET_DEFAULT(&router, balance_weight, defaults.balance_weight);
  DISTILL_SET_DEFAULT(&router, importance_weight, defaults.importance_weight);
  DISTILL_SET_DEFAULT(&router, load_weight, defaults.load_weight);
  DISTILL_SET_DEFAULT(&router, batch_priority, false);
  DISTILL_SET_DEFAULT(&router, group_images, defaults.group_images);
}

// Turns the named placement into blocks. What names none stays.
void ResolvePlacement(v1::VmoeSpec& vmoe) {
  if (!vmoe.has_moe_placement() || !vmoe.moe_blocks().empty()) return;
  const int depth = std::clamp(vmoe.backbone().depth(), 0, kMostBlocks);
  absl::string_view placement = vmoe.moe_placement();
  int last = 0;
  if (placement == "all") {
    for (int block = 0; block < depth; ++block) vmoe.add_moe_blocks(block);
  } else if (placement == "every_2") {
    for (int block = 1; block < depth; block += 2) vmoe.add_moe_blocks(block);
  } else if (absl::ConsumePrefix(&placement, "last_") && absl::SimpleAtoi(placement, &last) &&
             last >= 1 && last <= depth / 2) {
    const int odd_blocks = depth / 2;
    for (int i = odd_blocks - last; i < odd_blocks; ++i) vmoe.add_moe_blocks(2 * i + 1);
  }
  if (!vmoe.moe_blocks().empty()) vmoe.clear_moe_placement();
}

void ResolveVmoe(int modules, v1::VmoeSpec& vmoe) {
  ResolveVit(modules, {/*blocks_per_module=*/1, /*embed_dim=*/kVmoeWidth},
             *vmoe.mutable_backbone());
  ResolveRouter(*vmoe.mutable_router());
  DISTILL_SET_DEFAULT(&vmoe, experts, 4);
  const bool one_each = vmoe.experts() == 1 || vmoe.router().kind() == v1::ROUTER_KIND_SWITCH;
  DISTILL_SET_DEFAULT(&vmoe, top_k, one_each ? 1 : 2);
  DISTILL_SET_DEFAULT(&vmoe, expert_init, v1::EXPERT_INIT_PER_MATRIX);
  DISTILL_SET_DEFAULT(&vmoe, keep_stitches, false);
  ResolvePlacement(vmoe);
  if (vmoe.moe_blocks().empty() && !vmoe.has_moe_placement()) {
    const int depth = std::clamp(vmoe.backbone().depth(), 0, kMostBlocks);
    for (int block = 0; block < depth; ++block) vmoe.add_moe_blocks(block);
  }
}

void ResolvePrior(int mediators, uint64_t seed, v1::GraphPriorSpec& prior) {
  DISTILL_SET_DEFAULT(&prior, kind, v1::GRAPH_PRIOR_KIND_SCALE_FREE);
  DISTILL_SET_DEFAULT(&prior, attachments, 2);
  DISTILL_SET_DEFAULT(&prior, communities, 8);
  DISTILL_SET_DEFAULT(&prior, p_in, 0.9);
  DISTILL_SET_DEFAULT(&prior, p_out, 0.2);
  DISTILL_SET_DEFAULT(&prior, p, prior.kind() == v1::GRAPH_PRIOR_KIND_WATTS_STROGATZ ? 0.4 : 0.1);
  // An even number near a tenth.
  DISTILL_SET_DEFAULT(&prior, neighbours, std::max(2, mediators / 20 * 2));
  DISTILL_SET_DEFAULT(&prior, fit_steps, 1000);
  DISTILL_SET_DEFAULT(&prior, fit_learning_rate, 1e-3);
  DISTILL_SET_DEFAULT(&prior, fit_threshold, 0.8);
  DISTILL_SET_DEFAULT(&prior, seed, seed);
}

v1::SignatureRegulariserKind DefaultRegulariser(v1::GraphPriorKind prior) {
  switch (prior) {
    case v1::GRAPH_PRIOR_KIND_PLANTED_PARTITION:
      return v1::SIGNATURE_REGULARISER_KIND_GRAPHON;
    case v1::GRAPH_PRIOR_KIND_COMPLETE:
      return v1::SIGNATURE_REGULARISER_KIND_NONE;
    default:
      return v1::SIGNATURE_REGULARISER_KIND_HINGE_REPULSION;
  }
}

void ResolveRegulariser(v1::GraphPriorKind prior, v1::SignatureRegulariserSpec& regulariser) {
  DISTILL_SET_DEFAULT(&regulariser, kind, DefaultRegulariser(prior));
  const bool graphon = regulariser.kind() == v1::SIGNATURE_REGULARISER_KIND_GRAPHON;
  DISTILL_SET_DEFAULT(&regulariser, weight, graphon ? 1.0 : 0.1);
  DISTILL_SET_DEFAULT(&regulariser, hinge, 0.4);
  DISTILL_SET_DEFAULT(&regulariser, bernoulli, false);
  DISTILL_SET_DEFAULT(&regulariser, clip, 0.0);
  DISTILL_SET_DEFAULT(&regulariser, match_rows_only, false);
  DISTILL_SET_DEFAULT(&regulariser, match_every, 1);
  DISTILL_SET_DEFAULT(&regulariser, schedule, v1::WEIGHT_SCHEDULE_CONSTANT);
  if (regulariser.schedule() != v1::WEIGHT_SCHEDULE_CONSTANT) {
    DISTILL_SET_DEFAULT(&regulariser, final_weight, 0.0);
  }
}

void ResolveNac(uint64_t seed, v1::NacSpec& nac) {
  DISTILL_SET_DEFAULT(&nac, state_dim, 64);
  DISTILL_SET_DEFAULT(&nac, code_dim, 64);
  DISTILL_SET_DEFAULT(&nac, signature_dim, 64);
  DISTILL_SET_DEFAULT(&nac, input_latents, 16);
  DISTILL_SET_DEFAULT(&nac, mediator_latents, 64);
  DISTILL_SET_DEFAULT(&nac, output_latents, 16);
  DISTILL_SET_DEFAULT(&nac, heads, 4);
  DISTILL_SET_DEFAULT(&nac, head_dim, 16);
  DISTILL_SET_DEFAULT(&nac, ffn_capacity_factor, 2.0);
  if (nac.tokenizer_depths().empty()) {
    nac.add_tokenizer_depths(1);
    nac.add_tokenizer_depths(1);
  }
  DISTILL_SET_DEFAULT(&nac, tokenizer_stem, 4);
  DISTILL_SET_DEFAULT(&nac, grid_channels, 64);
  DISTILL_SET_DEFAULT(&nac, layer_scale, 0.1);
  DISTILL_SET_DEFAULT(&nac, code_noise, 0.05);
  DISTILL_SET_DEFAULT(&nac, truncation, 0.9);
  DISTILL_SET_DEFAULT(&nac, reference_link_sampling, false);
  DISTILL_SET_DEFAULT(&nac, reference_bandwidth, false);
  DISTILL_SET_DEFAULT(&nac, stochastic_evaluation, false);
  DISTILL_SET_DEFAULT(&nac, share_layers, false);
  if (nac.share_layers()) DISTILL_SET_DEFAULT(&nac, shared_layer, v1::NAC_SHARED_LAYER_MEAN);
  DISTILL_SET_DEFAULT(&nac, transfer, v1::NAC_TRANSFER_EVERYTHING);
  DISTILL_SET_DEFAULT(&nac, reference_read_in_scale, false);
  DISTILL_SET_DEFAULT(&nac, codes, v1::NAC_CODES_CONSTANT);
  DISTILL_SET_DEFAULT(&nac, keep_stitches, false);
  ResolvePrior(nac.mediator_latents(), seed, *nac.mutable_prior());
  ResolveRegulariser(nac.prior().kind(), *nac.mutable_regulariser());
}

}  // namespace

void ResolveVit(int modules, const VitDefaults& defaults, v1::VitSpec& vit) {
  ResolveVitPreset(vit);
  DISTILL_SET_DEFAULT(&vit, embed_dim, defaults.embed_dim);
  DISTILL_SET_DEFAULT(&vit, heads, 4);
  DISTILL_SET_DEFAULT(&vit, mlp_ratio, 4.0);
  DISTILL_SET_DEFAULT(&vit, qkv_bias, true);
  DISTILL_SET_DEFAULT(&vit, layer_norm_epsilon, 1e-6);
  ResolveDepths(modules, defaults.blocks_per_module, vit);
}

void ResolveStudent(int modules, int meta_width, uint64_t seed, v1::StudentSpec& student) {
  switch (student.architecture_case()) {
    case v1::StudentSpec::kVit:
      return ResolveVit(modules, {/*blocks_per_module=*/1, meta_width}, *student.mutable_vit());
    case v1::StudentSpec::kNac:
      return ResolveNac(seed, *student.mutable_nac());
    default:
      return ResolveVmoe(modules, *student.mutable_vmoe());
  }
}

}  // namespace distill::server
