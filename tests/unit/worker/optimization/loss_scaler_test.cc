// The loss scale over good and overflowing steps, and gradients under it.
#include "worker/optimization/loss_scaler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/support/status_matchers.h"
#include "worker/optimization/sgd.h"

namespace distill::optimization {
namespace {

TEST(LossScalerTest, StartsAtTheReferencesScale) { EXPECT_EQ(LossScaler().scale(), 65536.0); }

TEST(LossScalerTest, GrowsAfterARunOfGoodSteps) {
  LossScaler scaler;
  for (int step = 0; step < 1999; ++step) scaler.Update(true);
  EXPECT_EQ(scaler.scale(), 65536.0);
  scaler.Update(true);
  EXPECT_EQ(scaler.scale(), 131072.0);
}

TEST(LossScalerTest, OverflowHalvesAndStartsTheRunAnew) {
  LossScaler scaler;
  for (int step = 0; step < 1999; ++step) scaler.Update(true);
  scaler.Update(false);
  EXPECT_EQ(scaler.scale(), 32768.0);
  for (int step = 0; step < 1999; ++step) scaler.Update(true);
  EXPECT_EQ(scaler.scale(), 32768.0);
  scaler.Update(true);
  EXPECT_EQ(scaler.scale(), 65536.0);
}

TEST(LossScalerTest, StateCarriesTheRun) {
  LossScaler first;
  first.Update(false);
  for (int step = 0; step < 1500; ++step) first.Update(true);
  LossScaler second;
  ASSERT_THAT(second.ImportState(models::ToMap(first.ExportState())), IsOk());
  for (int step = 0; step < 500; ++step) second.Update(true);
  EXPECT_EQ(second.scale(), 65536.0);
}

TEST(LossScalerTest, RefusesAForeignState) {
  LossScaler scaler;
  EXPECT_THAT(scaler.ImportState({{"scale", torch::ones({})}}),
              StatusIs(absl::StatusCode::kInvalidArgument, testing::HasSubstr("good_steps")));
}

// What the training loop does: gradients come back to their size, an overflow shows.
TEST(LossScalerTest, UnscalingTellsOverflows) {
  const torch::Tensor parameter = torch::ones({2}, torch::kFloat).set_requires_grad(true);
  Sgd optimiser({{"w", parameter}}, {});
  const LossScaler scaler;
  (parameter.sum() * scaler.scale()).backward();
  EXPECT_TRUE(optimiser.ScaleGradients(1 / scaler.scale()));
  EXPECT_TRUE(parameter.grad().equal(torch::ones({2})));
  parameter.mutable_grad()[1] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(optimiser.ScaleGradients(1 / scaler.scale()));
}

}  // namespace
}  // namespace distill::optimization
