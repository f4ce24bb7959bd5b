#include "worker/training/training_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace distill::training {
namespace {

using testing::HasSubstr;

v1::TrainingRecipe Recipe(int batch, int accumulate, int64_t total_images) {
  v1::TrainingRecipe recipe;
  recipe.set_batch_size(batch);
  recipe.set_accumulate_steps(accumulate);
  recipe.set_total_images(total_images);
  recipe.set_learning_rate(1e-3);
  recipe.set_warmup_learning_rate(1e-6);
  recipe.set_min_learning_rate(1e-5);
  return recipe;
}

TEST(TrainingPlanTest, BudgetIsCountedInWholeSteps) {
  const auto plan = TrainingPlan::Create(Recipe(32, 2, 1000), 100);
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->total_steps(), 15);
  EXPECT_EQ(plan->images_per_step(), 64);
  // 3 batches an epoch; step 2 begins with micro-batch 4, the second of epoch 1.
  EXPECT_EQ(plan->EpochOf(plan->FirstMicroBatch(2)), 1);
  EXPECT_EQ(plan->PlaceInEpoch(plan->FirstMicroBatch(2)), 1);
  EXPECT_EQ(plan->end_epoch(), 10);
}

// "linear(start, stop)" of the reference is a function of epoch / epochs.
TEST(TrainingPlanTest, ProgressFollowsTheUnitOfTheSchedule) {
  v1::TrainingRecipe recipe = Recipe(25, 1, 400);  // 4 steps an epoch, 4 epochs.
  const auto by_step = TrainingPlan::Create(recipe, 100);
  ASSERT_THAT(by_step, IsOk());
  EXPECT_EQ(by_step->Progress(0), 0.0);
  EXPECT_EQ(by_step->Progress(5), 5.0 / 16.0);
  for (const v1::ScheduleUnit unit : {v1::SCHEDULE_UNIT_EPOCH, v1::SCHEDULE_UNIT_EPOCH_NAC}) {
    recipe.set_schedule_unit(unit);
    const auto by_epoch = TrainingPlan::Create(recipe, 100);
    ASSERT_THAT(by_epoch, IsOk());
    EXPECT_EQ(by_epoch->Progress(3), 0.0);
    EXPECT_EQ(by_epoch->Progress(5), 0.25);
    EXPECT_EQ(by_epoch->Progress(15), 0.75);
  }
}

TEST(TrainingPlanTest, NothingToTrainIsAPlan) {
  const auto plan = TrainingPlan::Create(Recipe(32, 1, 0), 100);
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->total_steps(), 0);
  EXPECT_EQ(plan->end_epoch(), 0);
  EXPECT_EQ(plan->Progress(0), 0.0);
}

TEST(TrainingPlanTest, RateFallsAlongACosineAfterItsWarmup) {
  v1::TrainingRecipe recipe = Recipe(10, 1, 1000);
  recipe.set_warmup_epochs(1);
  const auto plan = TrainingPlan::Create(recipe, 100);
  ASSERT_THAT(plan, IsOk());
  EXPECT_DOUBLE_EQ(plan->LearningRate(0), 1e-6);
  EXPECT_NEAR(plan->LearningRate(10), 1e-3, 1e-5);
  EXPECT_LT(plan->LearningRate(99), 2e-5);
}

TEST(TrainingPlanTest, ReferenceScheduleKeepsTheFirstTwoEpochsEqual) {
  v1::TrainingRecipe recipe = Recipe(10, 1, 1000);
  recipe.set_schedule_unit(v1::SCHEDULE_UNIT_EPOCH);
  recipe.set_learning_rate_reference_batch(5);
  const auto plan = TrainingPlan::Create(recipe, 100);
  ASSERT_THAT(plan, IsOk());
  EXPECT_DOUBLE_EQ(plan->LearningRate(0), 2e-3);
  EXPECT_DOUBLE_EQ(plan->LearningRate(19), 2e-3);
  EXPECT_LT(plan->LearningRate(20), 2e-3);
}

TEST(TrainingPlanTest, WrongRecipesNameTheField) {
  EXPECT_THAT(TrainingPlan::Create(Recipe(0, 1, 100), 100),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("recipe.batch_size")));
  EXPECT_THAT(TrainingPlan::Create(Recipe(101, 1, 1000), 100),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("is larger than the training set; batch_size=101 images=100")));
  EXPECT_THAT(TrainingPlan::Create(Recipe(50, 2, 99), 100),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("recipe.total_images")));
}

}  // namespace
}  // namespace distill::training
