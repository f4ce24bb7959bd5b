#include "server/planner/network_validation.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/planner/enum_checks.h"
#include "server/planner/limits.h"
#include "storage/weights/vit_preset.h"

namespace distill::server {
namespace {

constexpr int kFewestNacModules = 3;
constexpr int kMostLatents = 65536;
constexpr int kMostMediators = 16384;  // The affinity matrix is dense.

std::string Path(absl::string_view parent, absl::string_view field) {
  return absl::StrCat(parent, ".", field);
}

void CheckDepths(const v1::VitSpec& vit, int modules, absl::string_view path, FieldChecks& checks) {
  const std::string depth_path = Path(path, "depth");
  checks.InRange(depth_path, int64_t{vit.depth()}, 1, kMostBlocks);
  if (modules < 1 || modules > kMostModules) return;  // Reported where `modules` is checked.
  if (vit.depth() < modules) {
    checks.Fail(depth_path, vit.depth(), absl::StrCat("at least one block per module, ", modules),
                "add blocks or lower modules");
    return;
  }
  if (vit.stage_depths().empty()) {
    checks.Fail(depth_path, vit.depth(), absl::StrCat("a multiple of modules, ", modules),
                "or give stage_depths, one number per module");
    return;
  }
  const std::string stages_path = Path(path, "stage_depths");
  if (vit.stage_depths_size() != modules) {
    checks.Fail(stages_path, absl::StrCat(vit.stage_depths_size(), " stages"),
                absl::StrCat(modules, " (modules)"), "give one number per module");
    return;
  }
  int64_t sum = 0;
  for (int i = 0; i < vit.stage_depths_size(); ++i) {
    checks.InRange(absl::StrCat(stages_path, "[", i, "]"), int64_t{vit.stage_depths(i)}, 1,
                   kMostBlocks);
    sum += vit.stage_depths(i);
  }
  if (sum != vit.depth()) {
    checks.Fail(stages_path, absl::StrCat("sum ", sum), absl::StrCat("depth, ", vit.depth()),
                "leave one of the two out");
  }
}

// A setting that its router does not use would change nothing, and its author would not know.
void CheckUnused(const v1::RouterSpec& router, absl::string_view field, double value,
                 std::initializer_list<v1::RouterKind> users, FieldChecks& checks) {
  if (value == 0.0 || std::find(users.begin(), users.end(), router.kind()) != users.end()) return;
  checks.Fail(Path("student.vmoe.router", field), value, "nothing",
              absl::StrCat("router ", ValueName(router.kind(), v1::RouterKind_descriptor()),
                           " does not use it"));
}

void CheckRouter(const v1::VmoeSpec& vmoe, FieldChecks& checks) {
  const v1::RouterSpec& router = vmoe.router();
  CheckEnum("student.vmoe.router.kind", router.kind(), v1::RouterKind_descriptor(), checks);
  const auto check = [&](absl::string_view field, double value,
                         std::initializer_list<v1::RouterKind> users) {
    checks.InRange(Path("student.vmoe.router", field), value, 0.0, 1000.0);
    CheckUnused(router, field, value, users, checks);
  };
  const auto with_capacity = {v1::ROUTER_KIND_GSHARD, v1::ROUTER_KIND_SWITCH, v1::ROUTER_KIND_VMOE,
                              v1::ROUTER_KIND_EXPERT_CHOICE};
  const auto balanced = {v1::ROUTER_KIND_GSHARD, v1::ROUTER_KIND_SWITCH};
  const auto loaded = {v1::ROUTER_KIND_NOISY_TOP_K, v1::ROUTER_KIND_VMOE};
  check("capacity_factor", router.capacity_factor(), with_capacity);
  check("evaluation_capacity_factor", router.evaluation_capacity_factor(), with_capacity);
  check("noise", router.noise(), {v1::ROUTER_KIND_SWITCH, v1::ROUTER_KIND_VMOE});
  check("balance_weight", router.balance_weight(), balanced);
  check("importance_weight", router.importance_weight(), loaded);
  check("load_weight", router.load_weight(), loaded);
  check("batch_priority", router.batch_priority() ? 1.0 : 0.0, {v1::ROUTER_KIND_VMOE});
  check("group_images", router.group_images(), with_capacity);
  const int wanted = router.kind() == v1::ROUTER_KIND_GSHARD   ? 2
                     : router.kind() == v1::ROUTER_KIND_SWITCH ? 1
                                                               : vmoe.top_k();
  if (vmoe.top_k() != wanted) {
    checks.Fail("student.vmoe.top_k", vmoe.top_k(), wanted,
                absl::StrCat("router ", ValueName(router.kind(), v1::RouterKind_descriptor()),
                             " is defined so"));
  }
  if (router.kind() == v1::ROUTER_KIND_EXPERT_CHOICE && router.capacity_factor() <= 0.0) {
    checks.Fail("student.vmoe.router.capacity_factor", 0, "above 0",
                "it says how many tokens an expert takes");
  }
}

void CheckVmoe(const v1::VmoeSpec& vmoe, int modules, FieldChecks& checks) {
  CheckVit(vmoe.backbone(), modules, "student.vmoe.backbone", checks);
  checks.InRange("student.vmoe.experts", int64_t{vmoe.experts()}, 1, 256);
  if (vmoe.top_k() < 1 || vmoe.top_k() > vmoe.experts()) {
    checks.Fail("student.vmoe.top_k", vmoe.top_k(), absl::StrCat("1 to experts, ", vmoe.experts()),
                "lower top_k or raise experts");
  }
  if (vmoe.has_moe_placement()) {
    checks.Fail("student.vmoe.moe_placement", absl::StrCat("\"", vmoe.moe_placement(), "\""),
                vmoe.moe_blocks().empty()
                    ? "\"all\", \"every_2\", or \"last_N\" with N at most half the depth"
                    : "nothing beside moe_blocks");
  }
  int previous = -1;
  for (int i = 0; i < vmoe.moe_blocks_size(); ++i) {
    const int block = vmoe.moe_blocks(i);
    const std::string path = absl::StrCat("student.vmoe.moe_blocks[", i, "]");
    checks.InRange(path, int64_t{block}, 0, int64_t{vmoe.backbone().depth()} - 1,
                   "blocks are counted over the whole student from 0");
    if (block <= previous) {
      checks.Fail(path, block, absl::StrCat("above ", previous), "list each block once, ascending");
    }
    previous = std::max(previous, block);
  }
  CheckEnum("student.vmoe.expert_init", vmoe.expert_init(), v1::ExpertInit_descriptor(), checks);
  CheckRouter(vmoe, checks);
}

void CheckPrior(const v1::GraphPriorSpec& prior, int mediators, FieldChecks& checks) {
  constexpr absl::string_view kPath = "student.nac.prior";
  CheckEnum(Path(kPath, "kind"), prior.kind(), v1::GraphPriorKind_descriptor(), checks);
  const std::string remedy = absl::StrCat("student.nac.mediator_latents is ", mediators);
  switch (prior.kind()) {
    case v1::GRAPH_PRIOR_KIND_SCALE_FREE:
      checks.InRange(Path(kPath, "attachments"), int64_t{prior.attachments()}, 1,
                     int64_t{mediators} - 1, remedy);
      break;
    case v1::GRAPH_PRIOR_KIND_PLANTED_PARTITION:
    case v1::GRAPH_PRIOR_KIND_RING_OF_CLIQUES:
      checks.InRange(Path(kPath, "communities"), int64_t{prior.communities()}, 1,
                     std::max(1, mediators), remedy);
      if (prior.communities() >= 1 && mediators % prior.communities() != 0) {
        checks.Fail(Path(kPath, "communities"), prior.communities(),
                    absl::StrCat("a divisor of the mediators, ", mediators), remedy);
      }
      break;
    case v1::GRAPH_PRIOR_KIND_WATTS_STROGATZ:
      checks.InRange(Path(kPath, "neighbours"), int64_t{prior.neighbours()}, 2,
                     int64_t{mediators} - 1, remedy);
      if (prior.neighbours() % 2 != 0) {
        checks.Fail(Path(kPath, "neighbours"), prior.neighbours(), "an even number");
      }
      break;
    default:
      break;
  }
  checks.InRange(Path(kPath, "p_in"), prior.p_in(), 0.0, 1.0);
  checks.InRange(Path(kPath, "p_out"), prior.p_out(), 0.0, 1.0);
  checks.InRange(Path(kPath, "p"), prior.p(), 0.0, 1.0);
  checks.InRange(Path(kPath, "fit_steps"), int64_t{prior.fit_steps()}, 0, 100'000);
  checks.InRange(Path(kPath, "fit_learning_rate"), prior.fit_learning_rate(), 0.0, 100.0);
  checks.InRange(Path(kPath, "fit_threshold"), prior.fit_threshold(), 0.0, 2.0);
}

void CheckRegulariser(const v1::NacSpec& nac, FieldChecks& checks) {
  constexpr absl::string_view kPath = "student.nac.regulariser";
  const v1::SignatureRegulariserSpec& regulariser = nac.regulariser();
  CheckEnum(Path(kPath, "kind"), regulariser.kind(), v1::SignatureRegulariserKind_descriptor(),
            checks);
  if (regulariser.kind() == v1::SIGNATURE_REGULARISER_KIND_GRAPHON &&
      nac.prior().kind() == v1::GRAPH_PRIOR_KIND_COMPLETE) {
    checks.Fail(Path(kPath, "kind"), "graphon with the prior complete", "none or hinge_repulsion",
                "a complete graph has no structure to keep");
  }
  checks.InRange(Path(kPath, "weight"), regulariser.weight(), 0.0, 1e6);
  checks.InRange(Path(kPath, "hinge"), regulariser.hinge(), 0.0, 2.0);
  checks.InRange(Path(kPath, "clip"), regulariser.clip(), 0.0, 1.0);
  checks.InRange(Path(kPath, "match_every"), int64_t{regulariser.match_every()}, 1, 1'000'000);
  CheckEnum(Path(kPath, "schedule"), regulariser.schedule(), v1::WeightSchedule_descriptor(),
            checks);
  checks.InRange(Path(kPath, "final_weight"), regulariser.final_weight(), 0.0, 1e6);
  if (regulariser.schedule() == v1::WEIGHT_SCHEDULE_CONSTANT && regulariser.has_final_weight()) {
    checks.Fail(Path(kPath, "final_weight"), regulariser.final_weight(), "nothing",
                "schedule is constant; linear or cosine goes to another weight");
  }
}

void CheckTokenizer(const v1::NacSpec& nac, FieldChecks& checks) {
  const int stages = nac.tokenizer_depths_size();
  if (stages > 6) {
    checks.Fail("student.nac.tokenizer_depths", absl::StrCat(stages, " stages"), "at most 6");
    return;
  }
  for (int i = 0; i < stages; ++i) {
    checks.InRange(absl::StrCat("student.nac.tokenizer_depths[", i, "]"),
                   int64_t{nac.tokenizer_depths(i)}, 0, 64);
  }
  checks.InRange("student.nac.tokenizer_stem", int64_t{nac.tokenizer_stem()}, 1, 64);
  checks.InRange("student.nac.grid_channels", int64_t{nac.grid_channels()}, 0, 4096);
  if (nac.state_dim() % (1 << stages) != 0) {
    checks.Fail("student.nac.state_dim", nac.state_dim(),
                absl::StrCat("a multiple of ", 1 << stages),
                "the tokenizer's stages have a half, a quarter, ... of its width");
  }
}

void CheckNac(const v1::NacSpec& nac, int modules, FieldChecks& checks) {
  const auto check = [&](absl::string_view field, int64_t value, int64_t low, int64_t high) {
    checks.InRange(Path("student.nac", field), value, low, high);
  };
  if (modules < kFewestNacModules) {
    checks.Fail("modules", modules, absl::StrCat("at least ", kFewestNacModules),
                "a NAC student has a read-in, one or more mediator layers and a read-out");
  }
  check("state_dim", nac.state_dim(), 8, 4096);
  check("code_dim", nac.code_dim(), 1, 4096);
  check("signature_dim", nac.signature_dim(), 2, 4096);
  check("input_latents", nac.input_latents(), 1, kMostLatents);
  check("mediator_latents", nac.mediator_latents(), 2, kMostMediators);
  check("output_latents", nac.output_latents(), 1, kMostLatents);
  check("heads", nac.heads(), 1, 64);
  check("head_dim", nac.head_dim(), 1, 1024);
  checks.AboveUpTo("student.nac.ffn_capacity_factor", nac.ffn_capacity_factor(), 0.0, 16.0);
  CheckTokenizer(nac, checks);
  checks.InRange("student.nac.layer_scale", nac.layer_scale(), 0.0, 10.0);
  checks.InRange("student.nac.code_noise", nac.code_noise(), 0.0, 1.0);
  checks.InRange("student.nac.truncation", nac.truncation(), 0.0, 2.0);
  CheckEnum("student.nac.codes", nac.codes(), v1::NacCodes_descriptor(), checks);
  CheckEnum("student.nac.transfer", nac.transfer(), v1::NacTransfer_descriptor(), checks);
  if (nac.share_layers()) {
    CheckEnum("student.nac.shared_layer", nac.shared_layer(), v1::NacSharedLayer_descriptor(),
              checks);
  } else if (nac.has_shared_layer()) {
    checks.Fail("student.nac.shared_layer",
                ValueName(nac.shared_layer(), v1::NacSharedLayer_descriptor()), "nothing",
                "share_layers is false: each mediator module becomes a layer of its own");
  }
  CheckPrior(nac.prior(), nac.mediator_latents(), checks);
  CheckRegulariser(nac, checks);
}

}  // namespace

void CheckVit(const v1::VitSpec& vit, int modules, absl::string_view path, FieldChecks& checks) {
  if (vit.has_preset()) {
    checks.Fail(Path(path, "preset"), absl::StrCat("\"", vit.preset().substr(0, 80), "\""),
                absl::StrCat("one of ", absl::StrJoin(storage::VitPresetNames(), ", ")));
  }
  checks.InRange(Path(path, "embed_dim"), int64_t{vit.embed_dim()}, 8, 4096);
  checks.InRange(Path(path, "heads"), int64_t{vit.heads()}, 1, 64);
  if (vit.heads() >= 1 && vit.embed_dim() % vit.heads() != 0) {
    checks.Fail(Path(path, "embed_dim"), vit.embed_dim(),
                absl::StrCat("a multiple of heads, ", vit.heads()), "change either");
  }
  checks.InRange(Path(path, "mlp_ratio"), vit.mlp_ratio(), 0.5, 8.0);
  const double hidden = vit.mlp_ratio() * vit.embed_dim();
  if (hidden != std::floor(hidden)) {
    checks.Fail(Path(path, "mlp_ratio"), vit.mlp_ratio(),
                "one that makes mlp_ratio * embed_dim whole", "change either");
  }
  checks.AboveUpTo(Path(path, "layer_norm_epsilon"), vit.layer_norm_epsilon(), 0.0, 0.1);
  CheckDepths(vit, modules, path, checks);
}

void CheckStudent(const v1::StudentSpec& student, int modules, int meta_width,
                  FieldChecks& checks) {
  switch (student.architecture_case()) {
    case v1::StudentSpec::kVit:
      CheckVit(student.vit(), modules, "student.vit", checks);
      if (student.vit().embed_dim() != meta_width) {
        checks.Fail("student.vit.embed_dim", student.vit().embed_dim(),
                    absl::StrCat("meta.embed_dim, ", meta_width),
                    "a ViT student has no stitches that translate between widths");
      }
      return;
    case v1::StudentSpec::kNac:
      return CheckNac(student.nac(), modules, checks);
    default:
      return CheckVmoe(student.vmoe(), modules, checks);
  }
}

void CheckTokenizerInput(const v1::NacSpec& nac, int input_size, FieldChecks& checks) {
  const int stages = nac.tokenizer_depths_size();
  if (nac.tokenizer_stem() < 1 || stages < 1 || stages > 6) return;  // Reported by CheckStudent.
  const int reduction = nac.tokenizer_stem() << (stages - 1);
  if (input_size % reduction != 0) {
    checks.Fail("student.nac.tokenizer_stem", nac.tokenizer_stem(),
                absl::StrCat("one with which the tokenizer's reduction, stem * 2^(stages - 1) = ",
                             reduction, ", divides the input size, ", input_size));
  }
}

}  // namespace distill::server
