#include "server/rpc/plan_costs.h"

#include "gmock/gmock.h"

namespace distill::server {
namespace {

using ::testing::DoubleEq;
using ::testing::Optional;

v1::TaskSpec Training(int64_t images) {
  v1::TaskSpec task;
  task.set_kind(v1::TASK_KIND_DISTILL_MODULE);
  task.set_modules(4);
  task.set_numeric_class("cpu");
  task.mutable_recipe()->set_batch_size(64);
  task.mutable_recipe()->set_total_images(images);
  return task;
}

v1::AttemptStats Took(double seconds, int64_t images) {
  v1::AttemptStats stats;
  stats.set_wall_seconds(seconds);
  stats.set_images_seen(images);
  return stats;
}

TEST(PlanCostsTest, TrainingTakesTimeByTheImage) {
  PlanCosts costs;
  EXPECT_EQ(costs.Predict(Training(1000)), std::nullopt);
  costs.Learn(Training(1000), Took(10, 1000));
  costs.Learn(Training(3000), Took(50, 3000));
  EXPECT_THAT(costs.Predict(Training(2000)), Optional(DoubleEq(30)));
}

TEST(PlanCostsTest, SeedsAndRatesDoNotMatterAndShapesDo) {
  PlanCosts costs;
  costs.Learn(Training(1000), Took(10, 1000));
  v1::TaskSpec other = Training(1000);
  other.set_seed(3);
  other.mutable_recipe()->set_learning_rate(0.5);
  other.mutable_distillation()->set_tau(4);
  EXPECT_THAT(costs.Predict(other), Optional(DoubleEq(10)));
  other.mutable_recipe()->set_batch_size(32);
  EXPECT_EQ(costs.Predict(other), std::nullopt);
  other = Training(1000);
  other.mutable_student()->mutable_vit()->set_depth(12);
  EXPECT_EQ(costs.Predict(other), std::nullopt);
  other = Training(1000);
  other.set_numeric_class("cuda");
  EXPECT_EQ(costs.Predict(other), std::nullopt);
}

TEST(PlanCostsTest, WhatDoesNotTrainTakesItsMean) {
  PlanCosts costs;
  v1::TaskSpec task;
  task.set_kind(v1::TASK_KIND_EVALUATE);
  costs.Learn(task, Took(2, 0));
  costs.Learn(task, Took(4, 0));
  EXPECT_THAT(costs.Predict(task), Optional(DoubleEq(3)));
}

// The last tenth of a task says nothing of the whole.
TEST(PlanCostsTest, AnAttemptThatWentOnFromACheckpointIsLeftOut) {
  PlanCosts costs;
  costs.Learn(Training(1000), Took(5, 100));
  EXPECT_EQ(costs.Predict(Training(1000)), std::nullopt);
}

}  // namespace
}  // namespace distill::server
