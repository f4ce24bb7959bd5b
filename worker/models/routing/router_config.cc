// Defaults, names, checks and capacities of routers.
#include "worker/models/routing/router_config.h"

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace distill::models {
namespace {

// V-MoE's capacities are multiples of this.
constexpr int64_t kCapacityStep = 4;

struct NamedRouter {
  RouterKind kind;
  absl::string_view name;
};

constexpr NamedRouter kRouters[] = {
    {RouterKind::kTopK, "top_k"},    {RouterKind::kGshard, "gshard"},
    {RouterKind::kSwitch, "switch"}, {RouterKind::kNoisyTopK, "noisy_top_k"},
    {RouterKind::kVmoe, "vmoe"},     {RouterKind::kExpertChoice, "expert_choice"},
};

absl::Status Invalid(absl::string_view field, absl::string_view cause) {
  return absl::InvalidArgumentError(absl::StrCat("cannot build model: ", field, " ", cause));
}

absl::Status CheckNotNegative(absl::string_view field, double value) {
  if (std::isfinite(value) && value >= 0) return absl::OkStatus();
  return Invalid(field, absl::StrCat("must be finite and at least 0; got=", value));
}

}  // namespace

RouterConfig DefaultRouter(RouterKind kind) {
  RouterConfig config;
  config.kind = kind;
  switch (kind) {
    case RouterKind::kTopK:
      break;
    case RouterKind::kGshard:
      config.capacity_factor = 1.2;
      config.evaluation_capacity_factor = 2.4;
      config.balance_weight = 0.01;
      break;
    case RouterKind::kSwitch:
      config.capacity_factor = config.evaluation_capacity_factor = 1.0;
      config.noise = 0.1;
      config.balance_weight = 0.01;
      break;
    case RouterKind::kNoisyTopK:
      config.importance_weight = config.load_weight = 0.005;
      break;
    case RouterKind::kVmoe:
      config.capacity_factor = config.evaluation_capacity_factor = 1.05;
      config.noise = 1.0;
      config.importance_weight = config.load_weight = 0.005;
      config.group_images = 8;
      break;
    case RouterKind::kExpertChoice:
      config.capacity_factor = config.evaluation_capacity_factor = 1.05;
      break;
  }
  return config;
}

absl::Status CheckRouter(const RouterConfig& config, int64_t experts, int64_t top_k) {
  if (config.kind == RouterKind::kTopK) return absl::OkStatus();
  DISTILL_RETURN_IF_ERROR(CheckNotNegative("router.capacity_factor", config.capacity_factor));
  DISTILL_RETURN_IF_ERROR(
      CheckNotNegative("router.evaluation_capacity_factor", config.evaluation_capacity_factor));
  DISTILL_RETURN_IF_ERROR(CheckNotNegative("router.noise", config.noise));
  DISTILL_RETURN_IF_ERROR(CheckNotNegative("router.balance_weight", config.balance_weight));
  DISTILL_RETURN_IF_ERROR(CheckNotNegative("router.importance_weight", config.importance_weight));
  DISTILL_RETURN_IF_ERROR(CheckNotNegative("router.load_weight", config.load_weight));
  if (config.group_images < 0) {
    return Invalid("router.group_images",
                   absl::StrCat("must be at least 0; got=", config.group_images));
  }
  if (config.kind == RouterKind::kGshard && top_k != 2) {
    return Invalid("top_k", absl::StrCat("must be 2 for the GShard router; got=", top_k));
  }
  if (config.kind == RouterKind::kSwitch && top_k != 1) {
    return Invalid("top_k", absl::StrCat("must be 1 for the Switch router; got=", top_k));
  }
  if (config.kind == RouterKind::kSwitch && config.noise > 1) {
    return Invalid("router.noise",
                   absl::StrCat("must be at most 1 for the Switch router; got=", config.noise));
  }
  if (config.kind == RouterKind::kExpertChoice &&
      (config.capacity_factor == 0 || config.evaluation_capacity_factor == 0)) {
    return Invalid(
        "router.capacity_factor",
        absl::StrCat("must be positive for expert choice, also in evaluation; experts=", experts));
  }
  return absl::OkStatus();
}

absl::string_view RouterName(RouterKind kind) {
  for (const NamedRouter& router : kRouters) {
    if (router.kind == kind) return router.name;
  }
  return "unknown";
}

absl::StatusOr<RouterKind> ParseRouter(absl::string_view name) {
  std::string known;
  for (const NamedRouter& router : kRouters) {
    if (router.name == name) return router.kind;
    absl::StrAppend(&known, known.empty() ? "" : ", ", router.name);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("cannot build model: unknown router; got=", name, " known=", known));
}

bool RoutesTokensAlone(const RouterConfig& config) { return config.kind == RouterKind::kTopK; }

int64_t ExpertCapacity(const RouterConfig& config, bool training, int64_t tokens, int64_t experts,
                       int64_t top_k) {
  const double factor = training ? config.capacity_factor : config.evaluation_capacity_factor;
  if (config.kind == RouterKind::kTopK || factor == 0) return std::numeric_limits<int64_t>::max();
  const auto up = [](double value) { return static_cast<int64_t>(std::ceil(value)); };
  const double count = static_cast<double>(tokens);
  switch (config.kind) {
    case RouterKind::kGshard:
      return up(factor * count) * top_k / experts;
    case RouterKind::kVmoe:
    case RouterKind::kExpertChoice: {
      const int64_t capacity =
          up(count * static_cast<double>(top_k) * factor / static_cast<double>(experts));
      return (capacity + kCapacityStep - 1) / kCapacityStep * kCapacityStep;
    }
    default:
      return up(factor * count * static_cast<double>(top_k) / static_cast<double>(experts));
  }
}

}  // namespace distill::models
