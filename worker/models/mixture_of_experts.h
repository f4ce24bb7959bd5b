// A layer of E experts of which each token visits those that a router (routing/router.h) sends it
// to. By default the k that its gate likes best, without capacity limit, noise or additional loss:
// every token reaches its experts. A visit that an expert has no room for contributes nothing.
//
// Legend: S tokens of all images of a batch, D width, F hidden width, E experts, k visits per
// token.
#pragma once

#include <torch/torch.h>

#include <vector>

#include "worker/models/feed_forward.h"
#include "worker/models/forward_context.h"
#include "worker/models/layers.h"
#include "worker/models/routing/router.h"

namespace distill::models {

// The parameters of all experts: w1 [E, F, D], b1 [E, F], w2 [E, D, F], b2 [E, D].
using ExpertWeights = FeedForwardWeights;

// out[s] = sum_j weights[s, j] * expert_{experts[s, j]}(x[s]) for x [S, D] over the slots j that
// `routing` uses. An expert without a token gets a zero gradient. Uses grouped products and a
// hand-written gradient on the CPU (differentiable once), MixExpertsPlain elsewhere.
torch::Tensor MixExperts(const torch::Tensor& x, const torch::Tensor& weights,
                         const Routing& routing, const ExpertWeights& experts);

// The same from LibTorch's operators.
torch::Tensor MixExpertsPlain(const torch::Tensor& x, const torch::Tensor& weights,
                              const Routing& routing, const ExpertWeights& experts);

// The layer. Parameters: gate.gate.{weight [E, D], bias [E]} (no bias with V-MoE's router and
// expert choice) or, with noisy top-k, gate.w_gate and gate.w_noise [D, E]; and, stacked over the
// experts, experts.htoh4.{weight [E, F, D], bias [E, F]} and experts.h4toh.{weight [E, D, F], bias
// [E, D]}; state.h gives them their names of one expert each.
class MixtureOfExpertsImpl : public torch::nn::Module {
 public:
  // Requires a router that CheckRouter accepts.
  MixtureOfExpertsImpl(int64_t width, int64_t hidden, int64_t experts, int64_t top_k,
                       const RouterConfig& router = {});
  // x [B, T, D] to [B, T, D].
  torch::Tensor forward(const torch::Tensor& x, const ForwardContext& context);

  // Whether the output for a token depends on this token alone.
  bool routes_tokens_alone() const { return RoutesTokensAlone(router_); }

 private:
  struct GateImpl : torch::nn::Module {
    GateImpl(int64_t width, int64_t experts, RouterKind router);
    Linear gate{nullptr};           // null with noisy top-k
    torch::Tensor w_gate, w_noise;  // [D, E], undefined without noisy top-k
  };
  struct StackedLinearImpl : torch::nn::Module {
    StackedLinearImpl(int64_t experts, int64_t in, int64_t out)
        : weight(register_parameter("weight", torch::zeros({experts, out, in}))),
          bias(register_parameter("bias", torch::zeros({experts, out}))) {}
    torch::Tensor weight, bias;
  };
  struct ExpertsImpl : torch::nn::Module {
    ExpertsImpl(int64_t experts, int64_t width, int64_t hidden)
        : htoh4(register_module("htoh4",
                                std::make_shared<StackedLinearImpl>(experts, width, hidden))),
          h4toh(register_module("h4toh",
                                std::make_shared<StackedLinearImpl>(experts, hidden, width))) {}
    // Shared with the registry of sub-modules, which LibTorch keeps by shared pointer.
    std::shared_ptr<StackedLinearImpl> htoh4, h4toh;
  };

  RouterDecision Decide(const torch::Tensor& tokens, int64_t tokens_per_image,
                        const ForwardContext& context) const;

  const int64_t experts_count_, top_k_;
  const RouterConfig router_;
  std::shared_ptr<GateImpl> gate_;        // Shared with LibTorch's registry.
  std::shared_ptr<ExpertsImpl> experts_;  // Shared with LibTorch's registry.
};
TORCH_MODULE(MixtureOfExperts);

}  // namespace distill::models
