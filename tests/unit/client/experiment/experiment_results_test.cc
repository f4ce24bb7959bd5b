// Means, paired differences and their standard errors, against values computed by hand.
#include "client/experiment/experiment_results.h"

#include "client/experiment/experiment_report.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distill::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

RunResult Result(const Settings& settings, uint64_t seed,
                 const std::vector<std::pair<std::string, double>>& accuracies) {
  RunResult run;
  run.settings = settings;
  run.seed = seed;
  run.report.mutable_job()->set_id("job-1");
  for (const auto& [label, accuracy] : accuracies) {
    v1::Report::Model& model = *run.report.add_models();
    model.set_label(label);
    model.mutable_result()->set_accuracy(accuracy);
  }
  return run;
}

TEST(EstimateTest, MeanAndStandardError) {
  EXPECT_EQ(EstimateMean({}).count, 0);
  EXPECT_FALSE(EstimateMean({0.5}).standard_error.has_value());
  const Estimate estimate = EstimateMean({0.1, 0.2, 0.6});
  EXPECT_NEAR(estimate.mean, 0.3, 1e-12);
  // Deviations -0.2, -0.1, 0.3: variance 0.07, over three values.
  EXPECT_NEAR(*estimate.standard_error, std::sqrt(0.07 / 3), 1e-12);
}

TEST(SummaryTest, PairsBySeedWithinAJob) {
  Experiment experiment;
  experiment.comparisons = {{"student", "baseline B1", "", Claim::kHigher}};
  const ExperimentResults summary =
      Summarise(experiment, {Result({}, 0, {{"student", 0.80}, {"baseline B1", 0.70}}),
                             Result({}, 1, {{"student", 0.60}, {"baseline B1", 0.48}}),
                             Result({}, 2, {{"student", 0.90}})});
  ASSERT_EQ(summary.models.size(), 2u);
  EXPECT_EQ(summary.models[0].measures.at("IID").count, 3);
  ASSERT_EQ(summary.differences.size(), 1u);
  const DifferenceRow& row = summary.differences[0];
  EXPECT_EQ(row.difference.count, 2);
  EXPECT_NEAR(row.difference.mean, 0.11, 1e-12);
  EXPECT_NEAR(*row.difference.standard_error, 0.01, 1e-12);
  EXPECT_EQ(Verdict(row), "shown");
}

TEST(SummaryTest, FewShotEpisodesAreMeasuresOfTheStudent) {
  std::vector<RunResult> runs = {Result({}, 0, {{"student", 0.5}, {"teacher", 0.6}})};
  v1::Report::FewShot& episode = *runs[0].report.add_few_shot();
  episode.set_name("cub");
  episode.set_accuracy(0.75);
  runs[0].report.add_few_shot()->set_name("cifar100");  // Not over.
  const ExperimentResults summary = Summarise(Experiment(), runs);
  EXPECT_THAT(summary.measures, ElementsAre("IID", "few-shot cub"));
  ASSERT_EQ(summary.models.size(), 2u);
  EXPECT_EQ(summary.models[0].measures.at("few-shot cub").mean, 0.75);
  EXPECT_EQ(summary.models[1].measures.count("few-shot cub"), 0u);
  EXPECT_EQ(RenderExperiment(Experiment(), runs).count("accuracy-few-shot-cub.svg"), 1u);
}

TEST(SummaryTest, ComparesAlongAnAxisWithAllElseEqual) {
  Experiment experiment;
  experiment.comparisons = {{"student", "", "tau", Claim::kLower}};
  const auto at = [](const char* arm, const char* tau) {
    return Settings{{"arm", arm}, {"tau", tau}};
  };
  const ExperimentResults summary = Summarise(
      experiment,
      {Result(at("a", "1"), 0, {{"student", 0.5}}), Result(at("a", "1"), 1, {{"student", 0.6}}),
       Result(at("a", "4"), 0, {{"student", 0.7}}), Result(at("a", "4"), 1, {{"student", 0.9}}),
       Result(at("b", "1"), 0, {{"student", 0.1}}), Result(at("b", "4"), 1, {{"student", 0.2}})});
  // Arm b has no seed with both.
  ASSERT_EQ(summary.differences.size(), 1u);
  const DifferenceRow& row = summary.differences[0];
  EXPECT_EQ(row.subject, "student, tau=4");
  EXPECT_EQ(row.reference, "student, tau=1");
  EXPECT_EQ(row.where, "a");
  EXPECT_NEAR(row.difference.mean, 0.25, 1e-12);
  EXPECT_NEAR(*row.difference.standard_error, 0.05, 1e-12);
  EXPECT_EQ(Verdict(row), "the opposite shows");
}

TEST(SummaryTest, ADifferenceWithinItsErrorDoesNotShow) {
  DifferenceRow row;
  row.claim = Claim::kHigher;
  row.difference = EstimateMean({0.01, -0.02, 0.03});
  EXPECT_EQ(Verdict(row), "not shown at this scale");
  row.claim = Claim::kSame;
  EXPECT_EQ(Verdict(row), "shown");
}

TEST(ReportTest, HasTablesChartsAndDigests) {
  Experiment experiment;
  experiment.name = "e";
  experiment.title = "A | B";
  experiment.comparisons = {{"student", "teacher", "", Claim::kNone}};
  const auto files = RenderExperiment(
      experiment, {Result({{"k", "a,b"}}, 0,
                          {{"student", 0.5}, {"student hybrid 0", 0.4}, {"teacher", 0.25}})});
  const std::string& page = files.at("report.md");
  EXPECT_THAT(page, HasSubstr("| k=a,b | student | 1 | 50.00 |"));
  EXPECT_THAT(page, HasSubstr("+25.00"));
  EXPECT_THAT(page, Not(HasSubstr("hybrid")));
  EXPECT_THAT(page, HasSubstr("accuracy-iid.svg | sha256:"));
  EXPECT_THAT(files.at("results.csv"), HasSubstr("\"k=a,b\",0,job-1,"));
  EXPECT_THAT(files.at("accuracy-iid.svg"), HasSubstr("</svg>"));
}

}  // namespace
}  // namespace distill::client
