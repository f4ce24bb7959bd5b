// Maps the kinds and fields of routers.
#include "worker/training/network_options.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace distill::training {
namespace {

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

}  // namespace

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

}  // namespace distill::training
