// Which router a mixture of experts has and how it is set: plain values, checked once.
//
// Legend: S tokens of a group, E experts, k experts that a token asks for.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace distill::models {

enum class RouterKind {
  // m2mKD's gate: softmax over the k largest logits. Uses none of the settings.
  kTopK,
  // GShard (Lepikhin et al., arXiv 2006.16668) as fastmoe has it: top-2, a capacity, the second
  // expert dropped at random in training, a balance loss.
  kGshard,
  // Switch (Fedus et al., arXiv 2101.03961): top-1, jittered logits, a capacity, a balance loss.
  kSwitch,
  // Noisy top-k (Shazeer et al., arXiv 1701.06538): learned noise, importance and load losses.
  kNoisyTopK,
  // V-MoE (Riquelme et al., arXiv 2106.05974): softmax over all experts, not renormalised over the
  // chosen ones; noise, a capacity, importance and load losses.
  kVmoe,
  // Each expert takes the tokens that like it best (Zhou et al., arXiv 2202.09368).
  kExpertChoice,
};

struct RouterConfig {
  RouterKind kind = RouterKind::kTopK;
  // Tokens that an expert takes of a group, times E / (k * S); 0: no limit.
  double capacity_factor = 0;
  double evaluation_capacity_factor = 0;
  // V-MoE: E times the standard deviation of the logits' noise. Switch: half width of the jitter.
  double noise = 0;
  // Weights of the additional losses: balance for GShard and Switch, the others for noisy top-k and
  // V-MoE. With weight 0 a loss is still measured.
  double balance_weight = 0;
  double importance_weight = 0;
  double load_weight = 0;
  // A full expert keeps the tokens with the largest gate rather than the first ones.
  bool batch_priority = false;
  // Images whose tokens are routed together; 0: the whole batch. The last group may be smaller.
  int64_t group_images = 0;
};

// The settings that the paper of `kind` uses.
RouterConfig DefaultRouter(RouterKind kind);

// Errors: kInvalidArgument naming the field `router.<field>`, or top_k.
absl::Status CheckRouter(const RouterConfig& config, int64_t experts, int64_t top_k);

// "top_k", "gshard", "switch", "noisy_top_k", "vmoe", "expert_choice", and back.
absl::string_view RouterName(RouterKind kind);
absl::StatusOr<RouterKind> ParseRouter(absl::string_view name);

// Whether the way of a token depends on this token alone, so that others need not be looked at.
bool RoutesTokensAlone(const RouterConfig& config);

// How many tokens of a group of `tokens` one expert takes; INT64_MAX without a limit. Rounded as
// each method does: V-MoE and expert choice up to a multiple of 4, GShard down to whole tokens
// (which may be none).
int64_t ExpertCapacity(const RouterConfig& config, bool training, int64_t tokens, int64_t experts,
                       int64_t top_k);

}  // namespace distill::models
