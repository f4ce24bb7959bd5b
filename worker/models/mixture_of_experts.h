// A layer of E experts of which each token visits the k that its gate likes best. No capacity
// limit, no noise, no auxiliary loss: every token reaches its experts.
//
// Legend: S tokens of all images of a batch, D width, F hidden width, E experts, k visits per
// token.
#pragma once

#include <torch/torch.h>

#include <vector>

#include "worker/models/feed_forward.h"
#include "worker/models/forward_context.h"
#include "worker/models/layers.h"

namespace distill::models {

// Which experts a token visits and how much each counts.
struct GateChoice {
  torch::Tensor experts;  // int64 [S, k], best first
  torch::Tensor weights;  // [S, k], softmax over the k chosen logits only; carries the gradient
};

// The k largest of logits [S, E].
GateChoice ChooseExperts(const torch::Tensor& logits, int64_t top_k);

// Where the S * k visits go when they are sorted by expert, in token order within an expert.
struct Routing {
  std::vector<int64_t> counts;  // visits of each expert
  torch::Tensor tokens;         // int64 [S * k]: the token of each sorted visit
  torch::Tensor places;         // int64 [S * k]: the sorted place of visit (s, j) = s * k + j
};

// Sorts the visits on the CPU; `experts` may live on another device, to which the result goes.
Routing SortByExpert(const torch::Tensor& experts, int64_t expert_count);

// The parameters of all experts: w1 [E, F, D], b1 [E, F], w2 [E, D, F], b2 [E, D].
using ExpertWeights = FeedForwardWeights;

// out[s] = sum_j weights[s, j] * expert_{experts[s, j]}(x[s]) for x [S, D]. An expert without a
// token gets a zero gradient. Uses grouped products and a hand-written gradient on the CPU
// (differentiable once), MixExpertsPlain elsewhere.
torch::Tensor MixExperts(const torch::Tensor& x, const torch::Tensor& weights,
                         const Routing& routing, const ExpertWeights& experts);

// The same from LibTorch's operators.
torch::Tensor MixExpertsPlain(const torch::Tensor& x, const torch::Tensor& weights,
                              const Routing& routing, const ExpertWeights& experts);

// The layer. Parameters: gate.gate.{weight [E, D], bias [E]} and, stacked over the experts,
// experts.htoh4.{weight [E, F, D], bias [E, F]} and experts.h4toh.{weight [E, D, F], bias [E, D]};
// state.h gives them their names of one expert each.
class MixtureOfExpertsImpl : public torch::nn::Module {
 public:
  MixtureOfExpertsImpl(int64_t width, int64_t hidden, int64_t experts, int64_t top_k);
  // x [..., D] to [..., D].
  torch::Tensor forward(const torch::Tensor& x, const ForwardContext& context);

 private:
  struct GateImpl : torch::nn::Module {
    GateImpl(int64_t width, int64_t experts)
        : gate(register_module("gate", Linear(width, experts))) {}
    Linear gate;
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

  int64_t top_k_;
  std::shared_ptr<GateImpl> gate_;        // Shared with LibTorch's registry.
  std::shared_ptr<ExpertsImpl> experts_;  // Shared with LibTorch's registry.
};
TORCH_MODULE(MixtureOfExperts);

}  // namespace distill::models
