// Values and gradients of the balance losses; the papers' own numbers are in tests/golden.
#include "worker/models/routing/balance_losses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "tests/support/torch/gradient_check.h"

namespace distill::models {
namespace {

// A scalar in which the groups have different weights.
torch::Tensor Weighted(const torch::Tensor& losses) {
  return (losses * Variable(losses.sizes(), 77).detach()).sum();
}

TEST(BalanceLossTest, EvenExpertsCostTheLeast) {
  const torch::Tensor even = torch::full({1, 8, 4}, 0.25);
  const torch::Tensor choice = torch::arange(8).remainder(4).view({1, 8});
  EXPECT_EQ(ImportanceLoss(even)[0].item<float>(), 0.0f);
  EXPECT_EQ(GshardLoss(even, choice)[0].item<float>(), 1.0f);
  EXPECT_EQ(SwitchLoss(even, choice, torch::ones({1, 8}))[0].item<float>(), 1.0f);
  // Everything at one expert of four.
  const torch::Tensor one = torch::tensor({1.0f, 0.0f, 0.0f, 0.0f}).expand({1, 8, 4});
  const torch::Tensor first = torch::zeros({1, 8}, torch::kLong);
  EXPECT_EQ(ImportanceLoss(one)[0].item<float>(), 3.0f);
  EXPECT_EQ(GshardLoss(one, first)[0].item<float>(), 4.0f);
}

TEST(BalanceLossTest, VariationsOfOneAndOfTwoValues) {
  const torch::Tensor values = torch::tensor({1.0, 3.0}, torch::kDouble);
  EXPECT_DOUBLE_EQ(SquaredVariation(values).item<double>(), 0.25);
  EXPECT_NEAR(UnbiasedSquaredVariation(values).item<double>(), 0.5, 1e-9);
  EXPECT_EQ(UnbiasedSquaredVariation(torch::ones({1})).item<float>(), 0.0f);
}

TEST(BalanceLossTest, SwitchCountsKeptTokensOnly) {
  const torch::Tensor gates = torch::tensor({0.8, 0.2, 0.6, 0.4}, torch::kDouble).view({1, 2, 2});
  const torch::Tensor choice = torch::zeros({1, 2}, torch::kLong);
  const torch::Tensor kept = torch::tensor({1, 0}).view({1, 2});
  // f = (1, 0), P = (1.4, 0.6) / 1.
  EXPECT_DOUBLE_EQ(SwitchLoss(gates, choice, kept)[0].item<double>(), 2 * 1.4);
  EXPECT_EQ(SwitchLoss(gates, choice, torch::zeros({1, 2}))[0].item<double>(), 0.0);
}

TEST(BalanceLossTest, ProbabilityToStayAmongTheBest) {
  const torch::Tensor clean = torch::tensor({3.0, 2.0, 0.0}, torch::kDouble).view({1, 1, 3});
  const torch::Tensor noisy = torch::tensor({3.5, 1.0, 0.5}, torch::kDouble).view({1, 1, 3});
  const torch::Tensor deviation = torch::full({1, 1, 3}, 2.0, torch::kDouble);
  const torch::Tensor p = NoisyTopKProbabilities(clean, noisy, deviation, 1)[0][0];
  const auto cdf = [](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); };
  EXPECT_NEAR(p[0].item<double>(), cdf((3.0 - 1.0) / 2.0), 1e-12);  // Must beat the second.
  EXPECT_NEAR(p[1].item<double>(), cdf((2.0 - 3.5) / 2.0), 1e-12);  // Must beat the first.
  EXPECT_NEAR(p[2].item<double>(), cdf((0.0 - 3.5) / 2.0), 1e-12);
}

TEST(BalanceLossTest, Gradients) {
  const torch::Tensor clean = Variable({2, 9, 5}, 1), noise = Variable({2, 9, 5}, 2);
  const torch::Tensor raw = Variable({2, 9, 5}, 3);
  const torch::Tensor choice = clean.detach().argmax(-1);
  const torch::Tensor kept = torch::arange(18).remainder(3).view({2, 9}) > 0;
  const auto agrees = [&](const std::function<torch::Tensor()>& loss) {
    return GradientsAgree([&] { return Weighted(loss()); }, {clean, noise, raw}, 60);
  };
  EXPECT_TRUE(agrees([&] { return ImportanceLoss(torch::softmax(clean, -1)); }));
  EXPECT_TRUE(agrees([&] { return GshardLoss(torch::softmax(clean, -1), choice); }));
  EXPECT_TRUE(agrees([&] { return SwitchLoss(torch::softmax(clean, -1), choice, kept); }));
  EXPECT_TRUE(agrees([&] { return LoadLoss(clean, clean + noise * 0.3, 2, 0.3); }));
  EXPECT_TRUE(agrees([&] {
    const torch::Tensor deviation = torch::softplus(raw) + 0.01;
    return UnbiasedSquaredVariation(
        NoisyTopKProbabilities(clean, clean + noise * deviation, deviation, 2).sum(-2));
  }));
}

}  // namespace
}  // namespace distill::models
