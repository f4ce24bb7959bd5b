#include "client/cli/comparison.h"

#include <cmath>
#include <utility>

#include "gmock/gmock.h"
#include "nlohmann/json.hpp"

namespace distill::client {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;

// A report with the models of `accuracies`; corruption accuracy is 0.1 below.
v1::Report MakeReport(const std::string& id,
                      const std::vector<std::pair<std::string, double>>& accuracies) {
  v1::Report report;
  report.mutable_job()->set_id(id);
  for (const auto& [label, accuracy] : accuracies) {
    v1::Report::Model& model = *report.add_models();
    model.set_label(label);
    model.mutable_result()->set_accuracy(accuracy);
    model.mutable_result()->set_corruption_accuracy_mean(accuracy - 0.1);
    model.mutable_result()->add_corruptions()->set_name("contrast");
  }
  return report;
}

TEST(ComparisonTest, PairsStudentAndBaselinesByJob) {
  const Comparison comparison =
      CompareReports({MakeReport("a", {{"student", 0.80}, {"baseline B1", 0.78}}),
                      MakeReport("b", {{"student", 0.82}, {"baseline B1", 0.81}}),
                      MakeReport("c", {{"student", 0.81}, {"baseline B1", 0.78}})});
  ASSERT_EQ(comparison.differences.size(), 2u);
  const PairedDifference& iid = comparison.differences[0];
  EXPECT_EQ(iid.baseline, "baseline B1");
  EXPECT_EQ(iid.metric, "accuracy");
  EXPECT_EQ(iid.jobs, 3);
  // Differences 0.02, 0.01, 0.03: mean 0.02, deviation 0.01.
  EXPECT_THAT(iid.mean, DoubleNear(0.02, 1e-12));
  EXPECT_THAT(iid.standard_error.value(), DoubleNear(0.01 / std::sqrt(3.0), 1e-12));
}

TEST(ComparisonTest, LeavesOutJobsWithoutTheNumber) {
  v1::Report no_corruptions = MakeReport("b", {{"student", 0.9}, {"baseline B1", 0.8}});
  for (auto& model : *no_corruptions.mutable_models()) model.mutable_result()->clear_corruptions();
  const Comparison comparison =
      CompareReports({MakeReport("a", {{"student", 0.80}, {"baseline B1", 0.78}}), no_corruptions,
                      MakeReport("c", {{"student", 0.7}})});
  ASSERT_EQ(comparison.differences.size(), 2u);
  EXPECT_EQ(comparison.differences[0].jobs, 2);
  EXPECT_EQ(comparison.differences[1].jobs, 1);
  EXPECT_FALSE(comparison.differences[1].standard_error.has_value());
  EXPECT_FALSE(comparison.models[1].accuracy[2].has_value());
}

TEST(ComparisonTest, NamesJobsByDisplayNameOnlyWhenThatTellsThemApart) {
  v1::Report a = MakeReport("a", {});
  v1::Report b = MakeReport("b", {});
  a.mutable_job()->mutable_spec()->set_display_name("tau=1");
  b.mutable_job()->mutable_spec()->set_display_name("tau=2");
  EXPECT_THAT(CompareReports({a, b}).titles, ElementsAre("tau=1", "tau=2"));
  b.mutable_job()->mutable_spec()->set_display_name("tau=1");
  EXPECT_THAT(CompareReports({a, b}).titles, ElementsAre("a", "b"));
}

TEST(ComparisonTest, RendersMarkdown) {
  const Comparison comparison =
      CompareReports({MakeReport("a", {{"student", 0.80}, {"baseline B1", 0.78}}),
                      MakeReport("b", {{"student", 0.82}})});
  EXPECT_EQ(RenderMarkdown(comparison),
            "Accuracy: IID / mean over corruptions\n\n"
            "| model | a | b |\n|---|---|---|\n"
            "| student | 0.8000 / 0.7000 | 0.8200 / 0.7200 |\n"
            "| baseline B1 | 0.7800 / 0.6800 | - / - |\n"
            "\nStudent minus baseline, paired by job\n\n"
            "| baseline | metric | jobs | mean | standard error |\n|---|---|---|---|---|\n"
            "| baseline B1 | accuracy | 1 | +0.0200 | - |\n"
            "| baseline B1 | corruption_accuracy_mean | 1 | +0.0200 | - |\n");
}

TEST(ComparisonTest, RendersJson) {
  const auto json = nlohmann::json::parse(RenderJson(CompareReports(
      {MakeReport("a", {{"student", 0.75}, {"baseline B1", 0.5}}), MakeReport("b", {})})));
  EXPECT_EQ(json["jobs"], (nlohmann::json{"a", "b"}));
  EXPECT_EQ(json["models"][0]["accuracy"], (nlohmann::json{0.75, nullptr}));
  EXPECT_EQ(json["differences"][0]["mean"], 0.25);
  EXPECT_TRUE(json["differences"][0]["standard_error"].is_null());
}

}  // namespace
}  // namespace distill::client
