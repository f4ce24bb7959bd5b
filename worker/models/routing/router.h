// The decision of a router: from the gate's logits to the experts that each token visits, the
// weights with which their outputs count, and the losses that keep the experts busy.
//
// Legend: S tokens of all images of a batch, E experts, k experts that a token asks for.
#pragma once

#include <torch/torch.h>

#include "base/counter_random.h"
#include "worker/models/routing/dispatch.h"
#include "worker/models/routing/router_config.h"

namespace distill::models {

// The k largest of logits [S, E].
struct GateChoice {
  torch::Tensor experts;  // int64 [S, k], best first
  torch::Tensor weights;  // [S, k], softmax over the k chosen logits only; carries the gradient
};
GateChoice ChooseExperts(const torch::Tensor& logits, int64_t top_k);

// The random numbers of one pass; undefined where the router draws none.
struct RouterNoise {
  // [S, E]: standard normal for noisy top-k and V-MoE, uniform in [-1, 1) for Switch.
  torch::Tensor logits;
  // [S], uniform in [0, 1): GShard drops the second expert when twice its weight is below.
  torch::Tensor second;
};

// Draws what a training pass of `config` needs from streams of `random`, which stays as it is.
RouterNoise DrawRouterNoise(const RouterConfig& config, int64_t tokens, int64_t experts,
                            const CounterRandom& random, const torch::TensorOptions& options);

struct RouterInput {
  torch::Tensor logits;     // [S, E], of the gate, without noise
  torch::Tensor deviation;  // [S, E], noisy top-k in training: of its noise; positive
  int64_t group_tokens;     // tokens that are routed together
  bool training = false;    // which capacity holds
  bool wants_losses = false;
};

// Scalars, mean over the groups; undefined where the router has no such loss or it is not wanted.
struct RouterLosses {
  torch::Tensor balance, importance, load;
};

struct RouterDecision {
  torch::Tensor weights;  // [S, slots of routing]; carries the gradient
  Routing routing;
  RouterLosses losses;
};

// Requires a configuration that CheckRouter accepts. An undefined noise is none.
RouterDecision Route(const RouterConfig& config, int64_t top_k, const RouterInput& input,
                     const RouterNoise& noise);

}  // namespace distill::models
