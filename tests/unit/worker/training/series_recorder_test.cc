#include "worker/training/series_recorder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace distill::training {
namespace {

StepRecord Record(int64_t step, double loss) {
  StepRecord record;
  record.step = step;
  record.images = 10;
  record.loss = loss;
  record.learning_rate = 0.5;
  record.cross_entropy = record.distillation = record.teacher_accuracy =
      std::numeric_limits<double>::quiet_NaN();
  return record;
}

TEST(SeriesRecorderTest, ShortRunsKeepEveryStep) {
  SeriesRecorder recorder(3);
  for (int64_t step = 1; step <= 3; ++step) {
    const auto point = recorder.Add(Record(step, static_cast<double>(step)), 0);
    ASSERT_TRUE(point.has_value());
    EXPECT_EQ(point->step(), step);
    EXPECT_EQ(point->loss(), static_cast<double>(step));
    EXPECT_TRUE(std::isnan(point->distillation()));
  }
  EXPECT_EQ(recorder.series().points_size(), 3);
}

TEST(SeriesRecorderTest, LongRunsAreThinnedAndEndWithTheLastStep) {
  constexpr int64_t kSteps = 4 * kMostSeriesPoints + 1;
  SeriesRecorder recorder(kSteps);
  for (int64_t step = 1; step <= kSteps; ++step) recorder.Add(Record(step, 1.0), 0);
  EXPECT_LE(recorder.series().points_size(), kMostSeriesPoints);
  EXPECT_EQ(recorder.series().points(0).step(), 5);
  EXPECT_EQ(recorder.series().points().rbegin()->step(), kSteps);
}

TEST(SeriesRecorderTest, PointsAreMeansAndSpeedsOverTheirSteps) {
  SeriesRecorder recorder(2 * kMostSeriesPoints);
  EXPECT_FALSE(recorder.Add(Record(1, 1.0), 100.0).has_value());
  const auto point = recorder.Add(Record(2, 4.0), 102.0);
  ASSERT_TRUE(point.has_value());
  EXPECT_EQ(point->loss(), 2.5);
  EXPECT_EQ(point->images_per_second(), 10.0);
}

TEST(SeriesRecorderTest, AccuraciesAreMeans) {
  SeriesRecorder recorder(2 * kMostSeriesPoints);
  StepRecord record = Record(1, 1.0);
  record.accuracy = 0.5;
  recorder.Add(record, 0);
  record.step = 2;
  record.accuracy = 1;
  auto point = recorder.Add(record, 0);
  ASSERT_TRUE(point.has_value());
  EXPECT_EQ(point->accuracy(), 0.75);
  EXPECT_FALSE(point->has_teacher_accuracy());
  // The next point starts anew.
  record.teacher_accuracy = 0.25;
  record.step = 4;
  point = recorder.Add(record, 0);
  EXPECT_EQ(point->accuracy(), 1.0);
  EXPECT_EQ(point->teacher_accuracy(), 0.25);
}

TEST(SeriesRecorderTest, TermsAreMeansBeforeTheirWeights) {
  SeriesRecorder recorder(2 * kMostSeriesPoints);
  StepRecord record = Record(1, 1.0);
  record.added = {{"router_load", {3.0, 0.005}}, {"router_importance", {1.0, 0.5}}};
  recorder.Add(record, 0);
  record.step = 2;
  record.added = {{"router_load", {4.0, 0.0025}}, {"router_importance", {2.0, 0.5}}};
  const auto point = recorder.Add(record, 0);
  ASSERT_TRUE(point.has_value());
  ASSERT_EQ(point->terms_size(), 2);
  EXPECT_EQ(point->terms(0).name(), "router_importance");
  EXPECT_EQ(point->terms(0).value(), 1.5);
  EXPECT_EQ(point->terms(1).name(), "router_load");
  EXPECT_EQ(point->terms(1).value(), 3.5);
  EXPECT_EQ(point->terms(1).weight(), 0.0025);
  // The next point starts anew.
  record.step = 4;
  EXPECT_EQ(recorder.Add(record, 0)->terms(1).value(), 4.0);
}

}  // namespace
}  // namespace distill::training
