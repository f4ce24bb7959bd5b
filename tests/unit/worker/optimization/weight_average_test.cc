// The moving average by its formula, its exchange with the weights, and its resumption.
#include "worker/optimization/weight_average.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace distill::optimization {
namespace {

TEST(WeightAverageTest, FollowsTheFormula) {
  const torch::Tensor weight = torch::ones({2}, torch::kDouble).set_requires_grad(true);
  WeightAverage average({{"w", weight}}, 0.9);
  for (int step = 0; step < 2; ++step) {
    {
      const torch::NoGradGuard no_gradient;
      torch::Tensor(weight).fill_(2.0 + step);
    }
    average.Update();
  }
  // 0.9 (0.9 * 1 + 0.1 * 2) + 0.1 * 3
  EXPECT_NEAR(average.ExportState()[0].tensor[0].item<double>(), 1.29, 1e-12);
}

TEST(WeightAverageTest, ExchangedTwiceIsAsBefore) {
  const torch::Tensor weight = torch::ones({2}).set_requires_grad(true);
  WeightAverage average({{"w", weight}}, 0.5);
  {
    const torch::NoGradGuard no_gradient;
    torch::Tensor(weight).fill_(3.0);
  }
  average.Exchange();
  EXPECT_EQ(weight[0].item<float>(), 1.0f);
  average.Exchange();
  EXPECT_EQ(weight[0].item<float>(), 3.0f);
  EXPECT_EQ(average.ExportState()[0].tensor[0].item<float>(), 1.0f);
}

TEST(WeightAverageTest, StateFitsOnlyTheSameParameters) {
  WeightAverage average({{"w", torch::zeros({2})}}, 0.5);
  WeightAverage other({{"v", torch::zeros({2})}}, 0.5);
  EXPECT_THAT(other.ImportState(models::ToMap(average.ExportState())),
              StatusIs(absl::StatusCode::kInvalidArgument, testing::HasSubstr("other parameters")));
  EXPECT_THAT(average.ImportState(models::ToMap(average.ExportState())), IsOk());
}

}  // namespace
}  // namespace distill::optimization
