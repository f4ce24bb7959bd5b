// What each router decides, its noise and its losses.
#include "worker/models/routing/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tests/support/torch/gradient_check.h"
#include "worker/models/routing/balance_losses.h"

namespace distill::models {
namespace {

using testing::ElementsAre;

constexpr int64_t kTokens = 24, kExperts = 5;

RouterInput Training(const torch::Tensor& logits) {
  RouterInput input;
  input.logits = logits;
  input.group_tokens = logits.size(0);
  input.training = input.wants_losses = true;
  return input;
}

torch::Tensor Logits(uint64_t seed = 1) { return Variable({kTokens, kExperts}, seed).detach(); }

RouterNoise Noise(const RouterConfig& config, int64_t tokens, int64_t experts, uint64_t seed = 9) {
  return DrawRouterNoise(config, tokens, experts, CounterRandom(seed), torch::kDouble);
}

// The weight with which expert `e` counts for token `s`; 0 if it does not visit.
double WeightOf(const RouterDecision& decision, int64_t s, int64_t e) {
  const int64_t slots = decision.weights.size(1);
  double weight = 0;
  int64_t begin = 0;
  for (int64_t i = 0; i < e; ++i) begin += decision.routing.counts[static_cast<size_t>(i)];
  const int64_t end = begin + decision.routing.counts[static_cast<size_t>(e)];
  for (int64_t j = 0; j < slots; ++j) {
    const int64_t place = decision.routing.places[s * slots + j].item<int64_t>();
    if (place >= begin && place < end) weight += decision.weights[s][j].item<double>();
  }
  return weight;
}

TEST(RouterTest, TopKKeepsEverythingAndHasNoLosses) {
  const RouterDecision decision = Route({}, 2, Training(Logits()), {});
  EXPECT_EQ(decision.routing.dropped, 0);
  EXPECT_FALSE(decision.losses.balance.defined());
  EXPECT_FALSE(decision.losses.importance.defined());
  EXPECT_FALSE(decision.losses.load.defined());
  EXPECT_TRUE(torch::allclose(decision.weights.sum(1), torch::ones({kTokens}, torch::kDouble)));
}

TEST(RouterTest, SwitchSendsEachTokenToOneExpertWithItsProbability) {
  const RouterConfig config = DefaultRouter(RouterKind::kSwitch);
  RouterInput input = Training(torch::tensor({2.0, 0.0, 1.0, 0.0, 3.0, 0.0}).view({3, 2}));
  input.training = input.wants_losses = false;
  const RouterDecision decision = Route(config, 1, input, {});
  // Three tokens, two experts, factor 1: two places each. The last token finds none.
  EXPECT_THAT(decision.routing.counts, ElementsAre(2, 0));
  EXPECT_EQ(decision.routing.dropped, 1);
  EXPECT_NEAR(WeightOf(decision, 0, 0), 1.0 / (1.0 + std::exp(-2.0)), 1e-6);
  EXPECT_EQ(WeightOf(decision, 2, 0), 0.0);
}

TEST(RouterTest, GshardKeepsTheSecondExpertWithTwiceItsWeight) {
  RouterConfig config = DefaultRouter(RouterKind::kGshard);
  config.capacity_factor = 0;
  // The second weight is 0.2689: kept with probability 0.5379.
  const int64_t tokens = 20'000;
  const torch::Tensor logits =
      torch::tensor({2.0, 1.0, 0.0}, torch::kDouble).expand({tokens, 3}).contiguous();
  const RouterDecision decision = Route(config, 2, Training(logits), Noise(config, tokens, 3));
  EXPECT_EQ(decision.routing.counts[0], tokens);
  EXPECT_NEAR(static_cast<double>(decision.routing.counts[1]) / static_cast<double>(tokens), 0.5379,
              0.015);
  const RouterDecision evaluation = Route(config, 2, Training(logits), {});
  EXPECT_EQ(evaluation.routing.dropped, 0);
}

TEST(RouterTest, ExpertsChooseEqualNumbersOfTokens) {
  const RouterConfig config = DefaultRouter(RouterKind::kExpertChoice);
  const RouterDecision decision = Route(config, 2, Training(Logits()), {});
  EXPECT_THAT(decision.routing.counts, ElementsAre(12, 12, 12, 12, 12));
  const torch::Tensor gates = torch::softmax(Logits(), -1);
  for (int64_t e = 0; e < kExperts; ++e) {
    const double least = std::get<0>(gates.select(1, e).topk(12))[11].item<double>();
    for (int64_t s = 0; s < kTokens; ++s) {
      const double gate = gates[s][e].item<double>();
      EXPECT_EQ(WeightOf(decision, s, e), gate >= least ? gate : 0.0);
    }
  }
}

TEST(RouterTest, LossesAreMeansOverGroups) {
  for (const RouterKind kind :
       {RouterKind::kGshard, RouterKind::kSwitch, RouterKind::kNoisyTopK, RouterKind::kVmoe}) {
    SCOPED_TRACE(RouterName(kind));
    const RouterConfig config = DefaultRouter(kind);
    const int64_t top_k = kind == RouterKind::kSwitch ? 1 : 2;
    const RouterNoise noise = Noise(config, kTokens, kExperts);
    RouterInput whole = Training(Logits());
    whole.deviation = torch::softplus(Logits(2));
    whole.group_tokens = 10;  // Groups of 10, 10 and 4 tokens.
    const RouterLosses losses = Route(config, top_k, whole, noise).losses;
    const torch::Tensor RouterLosses::*members[] = {&RouterLosses::balance,
                                                    &RouterLosses::importance, &RouterLosses::load};
    for (const auto member : members) {
      if (!(losses.*member).defined()) continue;
      double sum = 0;
      for (int64_t first = 0; first < kTokens; first += 10) {
        const int64_t size = std::min<int64_t>(10, kTokens - first);
        RouterInput part = Training(whole.logits.narrow(0, first, size));
        part.deviation = whole.deviation.narrow(0, first, size);
        const auto cut = [&](const torch::Tensor& all) {
          return all.defined() ? all.narrow(0, first, size) : all;
        };
        sum += (Route(config, top_k, part, {cut(noise.logits), cut(noise.second)}).losses.*member)
                   .item<double>();
      }
      EXPECT_NEAR((losses.*member).item<double>(), sum / 3, 1e-12);
    }
  }
}

TEST(RouterTest, GradientsOfWeightsAndLossesWithFixedNoise) {
  for (const RouterKind kind :
       {RouterKind::kTopK, RouterKind::kGshard, RouterKind::kSwitch, RouterKind::kNoisyTopK,
        RouterKind::kVmoe, RouterKind::kExpertChoice}) {
    SCOPED_TRACE(RouterName(kind));
    const RouterConfig config = DefaultRouter(kind);
    const int64_t top_k = kind == RouterKind::kSwitch ? 1 : 2;
    const RouterNoise noise = Noise(config, kTokens, kExperts);
    const torch::Tensor logits = Variable({kTokens, kExperts}, 1);
    const torch::Tensor raw = Variable({kTokens, kExperts}, 2);
    const auto loss = [&] {
      RouterInput input = Training(logits);
      input.group_tokens = 10;
      input.deviation = torch::softplus(raw) + 0.01;
      const RouterDecision decision = Route(config, top_k, input, noise);
      const torch::Tensor used = (decision.routing.places >= 0).view_as(decision.weights);
      torch::Tensor sum =
          (decision.weights * used * Variable(decision.weights.sizes(), 5).detach()).sum();
      for (const torch::Tensor& term :
           {decision.losses.balance, decision.losses.importance, decision.losses.load}) {
        if (term.defined()) sum = sum + term;
      }
      return sum;
    };
    EXPECT_TRUE(GradientsAgree(loss, {logits, raw}, 120));
  }
}

TEST(RouterNoiseTest, HasTheMomentsOfItsDistribution) {
  const auto moments = [](RouterKind kind) {
    const torch::Tensor values =
        Noise(DefaultRouter(kind), 20'000, 4).logits.to(torch::kDouble).flatten();
    return std::pair(values.mean().item<double>(), values.var().item<double>());
  };
  for (const RouterKind kind : {RouterKind::kVmoe, RouterKind::kNoisyTopK}) {
    EXPECT_NEAR(moments(kind).first, 0.0, 0.015);
    EXPECT_NEAR(moments(kind).second, 1.0, 0.02);
  }
  EXPECT_NEAR(moments(RouterKind::kSwitch).first, 0.0, 0.01);
  EXPECT_NEAR(moments(RouterKind::kSwitch).second, 1.0 / 3.0, 0.01);
  const torch::Tensor jitter = Noise(DefaultRouter(RouterKind::kSwitch), 1000, 4).logits;
  EXPECT_LE(jitter.abs().max().item<double>(), 1.0);
}

TEST(RouterNoiseTest, IsAFunctionOfItsKeyAndDrawnOnlyWhereUsed) {
  const RouterConfig vmoe = DefaultRouter(RouterKind::kVmoe);
  EXPECT_TRUE(torch::equal(Noise(vmoe, 7, 4, 3).logits, Noise(vmoe, 7, 4, 3).logits));
  EXPECT_FALSE(torch::equal(Noise(vmoe, 7, 4, 3).logits, Noise(vmoe, 7, 4, 4).logits));
  RouterConfig silent = vmoe;
  silent.noise = 0;
  EXPECT_FALSE(Noise(silent, 7, 4).logits.defined());
  EXPECT_FALSE(Noise({}, 7, 4).logits.defined());
  EXPECT_FALSE(Noise(DefaultRouter(RouterKind::kExpertChoice), 7, 4).logits.defined());
  EXPECT_TRUE(Noise(DefaultRouter(RouterKind::kGshard), 7, 4).second.defined());
}

}  // namespace
}  // namespace distill::models
