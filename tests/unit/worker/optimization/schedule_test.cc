// Learning rates at the corners of the schedules.
#include "worker/optimization/schedule.h"

#include <gtest/gtest.h>

namespace distill::optimization {
namespace {

TEST(StepCosineTest, RisesToTheBaseAndFallsToTheMinimum) {
  const StepCosine schedule = {1e-3, 1e-6, 1e-5, 100, 10};
  EXPECT_DOUBLE_EQ(LearningRateOfStep(schedule, 0), 1e-6);
  EXPECT_DOUBLE_EQ(LearningRateOfStep(schedule, 5), 1e-6 + 0.5 * (1e-3 - 1e-6));
  EXPECT_DOUBLE_EQ(LearningRateOfStep(schedule, 10), 1e-3);
  EXPECT_NEAR(LearningRateOfStep(schedule, 55), 0.5 * (1e-3 + 1e-5), 1e-15);
  EXPECT_DOUBLE_EQ(LearningRateOfStep(schedule, 100), 1e-5);
  EXPECT_DOUBLE_EQ(LearningRateOfStep(schedule, 1000), 1e-5);
}

TEST(StepCosineTest, NeverRisesAfterWarmup) {
  const StepCosine schedule = {1e-3, 1e-6, 1e-5, 57, 0};
  for (int64_t step = 1; step < 70; ++step) {
    EXPECT_LE(LearningRateOfStep(schedule, step), LearningRateOfStep(schedule, step - 1));
  }
}

TEST(StepCosineTest, WarmupMayFillTheRun) {
  const StepCosine schedule = {1e-3, 0.0, 1e-5, 10, 10};
  EXPECT_DOUBLE_EQ(LearningRateOfStep(schedule, 9), 0.9e-3);
  EXPECT_DOUBLE_EQ(LearningRateOfStep(schedule, 10), 1e-5);
}

TEST(EpochCosineTest, MinimumAfterTheEnd) {
  const EpochCosine schedule = {1e-3, 1e-6, 1e-5, 10, 0};
  EXPECT_DOUBLE_EQ(LearningRateOfEpoch(schedule, 11), 1e-5);
}

// The reference's NAC trainer: base 2.4e-3, minimum 8e-5, 400 epochs, 25 of warm-up.
TEST(EpochCosineTest, ExactEpochsOfTheNacTrainer) {
  const EpochCosine schedule = {2.4e-3, 1e-6, 8e-5, 400, 25, /*is_exact=*/true};
  EXPECT_DOUBLE_EQ(LearningRateOfEpoch(schedule, 0), 1e-6);
  EXPECT_NEAR(LearningRateOfEpoch(schedule, 1), 9.6960e-5, 1e-9);
  EXPECT_NEAR(LearningRateOfEpoch(schedule, 25), 2.377711e-3, 1e-9);
  EXPECT_NEAR(LearningRateOfEpoch(schedule, 200), 1.240000e-3, 1e-9);
  EXPECT_NEAR(LearningRateOfEpoch(schedule, 399), 8.0036e-5, 1e-9);
}

TEST(WeightScheduleTest, GoesFromTheFirstWeightToTheLast) {
  WeightSchedule schedule = {WeightCurve::kConstant, 0.1, 0.5};
  for (const double progress : {0.0, 0.3, 1.0}) {
    EXPECT_DOUBLE_EQ(WeightAt(schedule, progress), 0.1);
  }
  schedule.curve = WeightCurve::kLinear;
  EXPECT_DOUBLE_EQ(WeightAt(schedule, 0.0), 0.1);
  EXPECT_DOUBLE_EQ(WeightAt(schedule, 0.25), 0.2);
  EXPECT_DOUBLE_EQ(WeightAt(schedule, 1.0), 0.5);
  schedule.curve = WeightCurve::kCosine;
  EXPECT_DOUBLE_EQ(WeightAt(schedule, 0.0), 0.1);
  EXPECT_NEAR(WeightAt(schedule, 1.0 / 3.0), 0.2, 1e-15);
  EXPECT_DOUBLE_EQ(WeightAt(schedule, 0.5), 0.3);
  EXPECT_DOUBLE_EQ(WeightAt(schedule, 1.0), 0.5);
}

TEST(ScaledLearningRateTest, ReferenceBatchOf512) {
  EXPECT_DOUBLE_EQ(ScaledLearningRate(5e-4, 2048), 2e-3);
}

}  // namespace
}  // namespace distill::optimization
