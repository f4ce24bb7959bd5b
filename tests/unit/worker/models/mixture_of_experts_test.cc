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
  EXPECT_EQ(loads[0].asked, 2 * 10);
  EXPECT_EQ(loads[0].dropped, 0);
  EXPECT_NEAR(std::accumulate(loads[0].importance.begin(), loads[0].importance.end(), 0.0), 10.0,
              1e-4);
}

// A layer of 4 experts of width 8 with the router of `kind`, filled with fixed numbers.
MixtureOfExperts RoutedLayer(RouterKind kind, RouterConfig config) {
  config.kind = kind;
  MixtureOfExperts layer(8, 16, 4, kind == RouterKind::kSwitch ? 1 : 2, config);
  layer->to(torch::kDouble);
  const torch::NoGradGuard no_gradient;
  uint64_t seed = 40;
  for (torch::Tensor& p : layer->parameters()) p.copy_(Variable(p.sizes(), ++seed));
  return layer;
}

constexpr RouterKind kRouters[] = {RouterKind::kTopK,   RouterKind::kGshard,
                                   RouterKind::kSwitch, RouterKind::kNoisyTopK,
                                   RouterKind::kVmoe,   RouterKind::kExpertChoice};

TEST(MixExpertsTest, UnusedSlotsContributeNothing) {
  const ExpertWeights experts = RandomExperts(3, 8, 16, torch::kDouble);
  const torch::Tensor x = Variable({6, 8}, 7);
  const torch::Tensor weights = Variable({6, 2}, 8);
  const torch::Tensor choice =
      torch::tensor({0, 1, 0, 2, 0, 1, 0, 2, 1, 0, 2, 1}, torch::kLong).view({6, 2});
  const Routing routing = DispatchWithinCapacity(choice, {}, {}, {{0, 6, 2}}, 3);
  ASSERT_GT(routing.dropped, 0);
  torch::Tensor want = torch::zeros_like(x);
  for (int64_t s = 0; s < 6; ++s) {
    for (int64_t j = 0; j < 2; ++j) {
      if (routing.places[s * 2 + j].item<int64_t>() < 0) continue;
      const int64_t e = choice[s][j].item<int64_t>();
      const torch::Tensor out = FeedForwardPlain(
          x.narrow(0, s, 1), {experts.w1[e], experts.b1[e], experts.w2[e], experts.b2[e]});
      want = want + torch::one_hot(torch::tensor({s}, torch::kLong), 6).t().to(torch::kDouble) *
                        weights[s][j] * out;
    }
  }
  const torch::Tensor mixed = MixExperts(x, weights, routing, experts);
  EXPECT_TRUE(torch::allclose(mixed, want, 1e-12, 1e-12));
  EXPECT_TRUE(torch::allclose(MixExpertsPlain(x, weights, routing, experts), want, 1e-12, 1e-12));
  const std::vector<torch::Tensor> inputs = {x,          weights,    experts.w1,
                                             experts.b1, experts.w2, experts.b2};
  const auto got = torch::autograd::grad({mixed.sin().sum()}, inputs);
  const auto expected = torch::autograd::grad({want.sin().sum()}, inputs);
  for (size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_TRUE(torch::allclose(got[i], expected[i], 1e-10, 1e-10)) << "input " << i;
  }
}

TEST(MixExpertsTest, TokensWithoutAnyExpertGiveZero) {
  const ExpertWeights experts = RandomExperts(2, 8, 16, torch::kFloat);
  const torch::Tensor x = Variable({3, 8}, 7).detach().to(torch::kFloat);
  const torch::Tensor weights = torch::ones({3, 1});
  const Routing routing =
      DispatchWithinCapacity(torch::zeros({3, 1}, torch::kLong), {}, {}, {{0, 3, 0}}, 2);
  const torch::Tensor mixed = MixExperts(x, weights, routing, experts);
  EXPECT_TRUE(torch::equal(mixed, torch::zeros_like(x)));
  EXPECT_TRUE(torch::equal(MixExpertsPlain(x, weights, routing, experts), mixed));
  mixed.sum().backward();
  EXPECT_EQ(experts.w1.grad().abs().max().item<float>(), 0.0f);
}

TEST(RoutedMixtureTest, GradientsOfOutputAndLossesWithFixedNoise) {
  for (const RouterKind kind : kRouters) {
    SCOPED_TRACE(RouterName(kind));
    RouterConfig config = DefaultRouter(kind);
    config.group_images = 2;
    MixtureOfExperts layer = RoutedLayer(kind, config);
    const torch::Tensor x = Variable({3, 6, 8}, 3);
    const auto loss = [&] {
      std::vector<AuxiliaryLoss> losses;
      ForwardContext context;
      context.training = true;
      context.random = CounterRandom(5);
      context.auxiliary_losses = &losses;
      const torch::Tensor out = layer(x, context);
      torch::Tensor sum = (out * Variable(out.sizes(), 99).detach()).sum();
      for (AuxiliaryLoss& term : losses) term.weight *= 100.0;  // So that an error would show.
      return losses.empty() ? sum : sum + WeightedSum(losses);
    };
    std::vector<torch::Tensor> variables = layer->parameters();
    variables.push_back(x);
    EXPECT_TRUE(GradientsAgree(loss, variables));
  }
}

TEST(RoutedMixtureTest, LossesAreNamedAndOnlyOfTraining) {
  const auto names = [](RouterKind kind, bool training) {
    MixtureOfExperts layer = RoutedLayer(kind, DefaultRouter(kind));
    std::vector<AuxiliaryLoss> losses;
    ForwardContext context;
    context.training = training;
    context.auxiliary_losses = &losses;
    layer(Variable({2, 6, 8}, 3).detach(), context);
    std::vector<std::string> result;
    for (const AuxiliaryLoss& loss : losses) result.push_back(loss.name);
    return result;
  };
  EXPECT_THAT(names(RouterKind::kTopK, true), ElementsAre());
  EXPECT_THAT(names(RouterKind::kGshard, true), ElementsAre("router_balance"));
  EXPECT_THAT(names(RouterKind::kSwitch, true), ElementsAre("router_balance"));
  EXPECT_THAT(names(RouterKind::kVmoe, true), ElementsAre("router_importance", "router_load"));
  EXPECT_THAT(names(RouterKind::kNoisyTopK, true), ElementsAre("router_importance", "router_load"));
  EXPECT_THAT(names(RouterKind::kExpertChoice, true), ElementsAre());
  EXPECT_THAT(names(RouterKind::kVmoe, false), ElementsAre());
}

TEST(RoutedMixtureTest, EvaluationDrawsNothing) {
  for (const RouterKind kind : kRouters) {
    MixtureOfExperts layer = RoutedLayer(kind, DefaultRouter(kind));
    const torch::Tensor x = Variable({2, 6, 8}, 3).detach();
    ForwardContext one, other;
    one.random = CounterRandom(1);
    other.random = CounterRandom(2);
    EXPECT_TRUE(torch::equal(layer(x, one), layer(x, other))) << RouterName(kind);
  }
}

TEST(RoutedMixtureTest, ShufflingTokensShufflesTheOutputWhereNobodyIsDropped) {
  for (const RouterKind kind : kRouters) {
    RouterConfig config = DefaultRouter(kind);
    config.capacity_factor = config.evaluation_capacity_factor =
        kind == RouterKind::kExpertChoice ? 1.05 : 0;
    MixtureOfExperts layer = RoutedLayer(kind, config);
    const torch::Tensor x = Variable({1, 30, 8}, 3).detach();
    std::vector<int64_t> permutation;
    for (const uint32_t at : CounterRandom(1).Permutation(30)) permutation.push_back(at);
    const torch::Tensor order = torch::tensor(permutation, torch::kLong);
    EXPECT_TRUE(torch::allclose(layer(x.index_select(1, order), ForwardContext()),
                                layer(x, ForwardContext()).index_select(1, order), 1e-12, 1e-12))
        << RouterName(kind);
  }
}

TEST(RoutedMixtureTest, OneExpertIsAnMlp) {
  for (const RouterKind kind : {RouterKind::kTopK, RouterKind::kSwitch, RouterKind::kNoisyTopK,
                                RouterKind::kVmoe, RouterKind::kExpertChoice}) {
    MixtureOfExperts layer(8, 16, 1, 1, DefaultRouter(kind));
    {
      const torch::NoGradGuard no_gradient;
      uint64_t seed = 40;
      for (torch::Tensor& p : layer->parameters()) p.copy_(Variable(p.sizes(), ++seed));
    }
    const torch::Tensor x = Variable({1, 12, 8}, 3).detach().to(torch::kFloat);
    const auto p = layer->named_parameters();
    EXPECT_TRUE(torch::equal(
        layer(x, ForwardContext()).view({12, 8}),
        FeedForward(x.view({12, 8}), {p["experts.htoh4.weight"][0], p["experts.htoh4.bias"][0],
                                      p["experts.h4toh.weight"][0], p["experts.h4toh.bias"][0]})))
        << RouterName(kind);
  }
}

TEST(RoutedMixtureTest, NamesOfTheGate) {
  const auto names = [](RouterKind kind) {
    std::vector<std::string> result;
    MixtureOfExperts layer = RoutedLayer(kind, DefaultRouter(kind));
    for (const auto& parameter : layer->named_parameters()) {
      if (parameter.key().rfind("gate.", 0) == 0) result.push_back(parameter.key());
    }
    return result;
  };
  EXPECT_THAT(names(RouterKind::kGshard), ElementsAre("gate.gate.weight", "gate.gate.bias"));
  EXPECT_THAT(names(RouterKind::kVmoe), ElementsAre("gate.gate.weight"));
  EXPECT_THAT(names(RouterKind::kNoisyTopK), ElementsAre("gate.w_gate", "gate.w_noise"));
}

TEST(RoutedMixtureTest, DroppedVisitsAreReported) {
  RouterConfig config = DefaultRouter(RouterKind::kVmoe);
  config.evaluation_capacity_factor = 0.1;
  MixtureOfExperts layer = RoutedLayer(RouterKind::kVmoe, config);
  std::vector<ExpertLoad> loads;
  ForwardContext context;
  context.expert_loads = &loads;
  layer(Variable({8, 10, 8}, 1).detach(), context);
  // 80 tokens, 2 visits each, 4 experts: 4 places each.
  EXPECT_EQ(loads.at(0).asked, 160);
  EXPECT_EQ(loads.at(0).dropped,
            160 - std::accumulate(loads[0].tokens.begin(), loads[0].tokens.end(), int64_t{0}));
  EXPECT_GE(loads.at(0).dropped, 160 - 16);
}

TEST(ExpertLoadTest, SumsAndShares) {
  std::vector<ExpertLoad> sum;
  AddExpertLoads({{{3, 1}, {2.0, 2.0}, 5, 1}}, &sum);
  AddExpertLoads({{{0, 4}, {1.0, 3.0}, 5, 1}}, &sum);
  ASSERT_EQ(sum.size(), 1u);
  EXPECT_THAT(TokenShares(sum[0]), ElementsAre(0.375, 0.625));
  EXPECT_THAT(ImportanceShares(sum[0]), ElementsAre(0.375, 0.625));
  EXPECT_EQ(DroppedShare(sum[0]), 0.2);
  EXPECT_THAT(TokenShares({{0, 0}, {}, 0, 0}), ElementsAre(0.0, 0.0));
  EXPECT_EQ(DroppedShare({}), 0.0);
}

}  // namespace
}  // namespace distill::models
