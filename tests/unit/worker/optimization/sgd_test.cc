// Nesterov momentum against LibTorch's, and its resumption.
#include "worker/optimization/sgd.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"
#include "tests/support/torch/gradient_check.h"

namespace distill::optimization {
namespace {

torch::Tensor Leaf(uint64_t seed) {
  return Variable({6, 4}, seed).detach().to(torch::kDouble).set_requires_grad(true);
}

void SetGradient(torch::Tensor parameter, uint64_t seed) {
  parameter.mutable_grad() = Variable(parameter.sizes(), seed).detach().to(torch::kDouble);
}

SgdConfig Config() {
  SgdConfig config;
  config.momentum = 0.9;
  config.weight_decay = 0.05;
  return config;
}

TEST(SgdTest, FollowsLibTorch) {
  const torch::Tensor ours = Leaf(1);
  torch::Tensor theirs = Leaf(1);
  Sgd optimiser({{"weight", ours}}, Config());
  torch::optim::SGD reference(
      {theirs}, torch::optim::SGDOptions(1e-2).momentum(0.9).nesterov(true).weight_decay(0.05));
  for (uint64_t step = 0; step < 20; ++step) {
    SetGradient(ours, step);
    SetGradient(theirs, step);
    optimiser.Step(1e-2);
    reference.step();
  }
  EXPECT_TRUE(torch::allclose(ours, theirs, 1e-14, 1e-14));
}

TEST(SgdTest, ResumedRunHasTheSameBits) {
  const torch::Tensor straight = Leaf(1), resumed = Leaf(1);
  Sgd whole({{"w", straight}}, Config());
  Sgd before({{"w", resumed}}, Config());
  for (uint64_t step = 0; step < 6; ++step) {
    SetGradient(straight, step);
    whole.Step(1e-2);
    if (step >= 2) continue;
    SetGradient(resumed, step);
    before.Step(1e-2);
  }
  Sgd after({{"w", resumed}}, Config());
  ASSERT_THAT(after.ImportState(models::ToMap(before.ExportState())), IsOk());
  for (uint64_t step = 2; step < 6; ++step) {
    SetGradient(resumed, step);
    after.Step(1e-2);
  }
  EXPECT_TRUE(straight.equal(resumed));
}

TEST(SgdTest, RefusesTheStateOfAnotherOptimiser) {
  Sgd optimiser({{"w", Leaf(1)}}, Config());
  EXPECT_THAT(
      optimiser.ImportState({{"exp_avg.w", torch::zeros({6, 4})}}),
      StatusIs(absl::StatusCode::kInvalidArgument, testing::HasSubstr("missing momentum.w")));
}

}  // namespace
}  // namespace distill::optimization
