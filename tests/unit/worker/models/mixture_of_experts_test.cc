// Routing and mixing of experts.
#include "worker/models/mixture_of_experts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <numeric>

#include "base/counter_random.h"
#include "tests/support/torch/gradient_check.h"

namespace distill::models {
namespace {

using testing::ElementsAre;

ExpertWeights RandomExperts(int64_t experts, int64_t width, int64_t hidden,
                            torch::ScalarType type) {
  const auto leaf = [&](torch::IntArrayRef shape, uint64_t seed) {
    return Variable(shape, seed).detach().to(type).set_requires_grad(true);
  };
  return {leaf({experts, hidden, width}, 1), leaf({experts, hidden}, 2),
          leaf({experts, width, hidden}, 3), leaf({experts, width}, 4)};
}

TEST(SortByExpertTest, VisitsAreGroupedInTokenOrder) {
  const Routing routing =
      SortByExpert(torch::tensor({2, 0, 0, 2, 2, 1}, torch::kLong).view({3, 2}), 4);
  EXPECT_THAT(routing.counts, ElementsAre(2, 1, 3, 0));
  EXPECT_TRUE(torch::equal(routing.tokens, torch::tensor({0, 1, 2, 0, 1, 2}, torch::kLong)));
  EXPECT_TRUE(torch::equal(routing.places, torch::tensor({3, 0, 1, 4, 5, 2}, torch::kLong)));
}

TEST(MixExpertsTest, GroupedPathEqualsPlainPath) {
  for (const torch::ScalarType type : {torch::kFloat, torch::kDouble}) {
    const torch::Tensor x = Variable({23, 8}, 7).detach().to(type).set_requires_grad(true);
    const GateChoice choice = ChooseExperts(Variable({23, 5}, 8).detach().to(type), 2);
    const torch::Tensor weights = choice.weights.detach().set_requires_grad(true);
    const Routing routing = SortByExpert(choice.experts, 5);
    const ExpertWeights experts = RandomExperts(5, 8, 16, type);
    const std::vector<torch::Tensor> inputs = {x,          weights,    experts.w1,
                                               experts.b1, experts.w2, experts.b2};
    const torch::Tensor fused = MixExperts(x, weights, routing, experts);
    const torch::Tensor plain = MixExpertsPlain(x, weights, routing, experts);
    const double tolerance = type == torch::kFloat ? 1e-4 : 1e-10;
    EXPECT_TRUE(torch::allclose(fused, plain, tolerance, tolerance));
    const auto fused_gradients = torch::autograd::grad({fused.sin().sum()}, inputs);
    const auto plain_gradients = torch::autograd::grad({plain.sin().sum()}, inputs);
    for (size_t i = 0; i < inputs.size(); ++i) {
      EXPECT_TRUE(
          torch::allclose(fused_gradients[i], plain_gradients[i], tolerance, 10 * tolerance))
          << "input " << i;
    }
    const torch::NoGradGuard no_gradient;
    EXPECT_TRUE(torch::equal(MixExperts(x, weights, routing, experts), fused));
  }
}

TEST(MixtureOfExpertsTest, ShufflingTokensShufflesTheOutput) {
  MixtureOfExperts layer(8, 16, 4, 2);
  layer->to(torch::kDouble);
  {
    const torch::NoGradGuard no_gradient;
    uint64_t seed = 40;
    for (torch::Tensor& p : layer->parameters()) p.copy_(Variable(p.sizes(), ++seed));
  }
  const torch::Tensor x = Variable({1, 30, 8}, 3).detach();
  std::vector<int64_t> permutation;
  for (const uint32_t at : CounterRandom(1).Permutation(30)) permutation.push_back(at);
  const torch::Tensor order = torch::tensor(permutation, torch::kLong);
  const torch::Tensor shuffled = layer(x.index_select(1, order), ForwardContext());
  EXPECT_TRUE(
      torch::allclose(shuffled, layer(x, ForwardContext()).index_select(1, order), 1e-12, 1e-12));
}

TEST(MixtureOfExpertsTest, OneExpertIsAnMlp) {
  const ExpertWeights experts = RandomExperts(1, 8, 16, torch::kFloat);
  const torch::Tensor x = Variable({12, 8}, 3).detach().to(torch::kFloat);
  const GateChoice choice = ChooseExperts(torch::ones({12, 1}), 1);
  const torch::Tensor mixed =
      MixExperts(x, choice.weights, SortByExpert(choice.experts, 1), experts);
  EXPECT_TRUE(torch::equal(
      mixed, FeedForward(x, {experts.w1[0], experts.b1[0], experts.w2[0], experts.b2[0]})));
}

TEST(MixtureOfExpertsTest, ExpertWithoutTokensGetsZeroGradient) {
  const ExpertWeights experts = RandomExperts(3, 8, 16, torch::kFloat);
  const torch::Tensor x = Variable({12, 8}, 3).detach().to(torch::kFloat);
  // Nobody chooses expert 1.
  const torch::Tensor logits = torch::tensor({2.0f, -9.0f, 1.0f}).expand({12, 3});
  const GateChoice choice = ChooseExperts(logits, 2);
  MixExperts(x, choice.weights, SortByExpert(choice.experts, 3), experts).sum().backward();
  for (const torch::Tensor& parameter : {experts.w1, experts.b1, experts.w2, experts.b2}) {
    ASSERT_TRUE(parameter.grad().defined());
    EXPECT_EQ(parameter.grad()[1].abs().max().item<float>(), 0.0f);
    EXPECT_GT(parameter.grad()[0].abs().max().item<float>(), 0.0f);
  }
}

TEST(MixtureOfExpertsTest, ReportsItsLoad) {
  MixtureOfExperts layer(8, 16, 4, 2);
  std::vector<ExpertLoad> loads;
  ForwardContext context;
  context.expert_loads = &loads;
  layer(Variable({2, 5, 8}, 1).detach().to(torch::kFloat), context);
  ASSERT_EQ(loads.size(), 1u);
  EXPECT_EQ(std::accumulate(loads[0].tokens.begin(), loads[0].tokens.end(), int64_t{0}), 2 * 10);
}

}  // namespace
}  // namespace distill::models
