// Which of our deviations from the reference a report names.
#include "server/report/report_choices.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/job_specs.h"

namespace distill::server {
namespace {

using ::testing::Contains;

v1::Report ReportOn(const v1::JobSpec& spec) {
  v1::Report report;
  AddChoices(CompleteSpec(spec), report);
  return report;
}

TEST(ReportChoicesTest, NamesWhatTheReferenceDoes) {
  const v1::Report report = ReportOn(MinimalSpec());
  EXPECT_THAT(report.reference_choices(),
              Contains("kd divisor: batch mean (the reference: numel)"));
  EXPECT_THAT(report.reference_choices(),
              Contains("learning rate changes every: step (the reference: epoch)"));
  EXPECT_THAT(report.reference_choices(),
              Contains("expert init: bound 1/sqrt(in) (the reference: bound 1/sqrt(out*in))"));
}

TEST(ReportChoicesTest, SaysWhenAJobFollowsTheReference) {
  v1::JobSpec spec = MinimalSpec();
  spec.mutable_distillation()->set_divisor(v1::KD_DIVISOR_NUMEL);
  spec.mutable_student()->mutable_nac()->set_stochastic_evaluation(true);
  const v1::Report report = ReportOn(spec);
  EXPECT_THAT(report.reference_choices(), Contains("kd divisor: numel (as the reference)"));
  EXPECT_THAT(report.reference_choices(), Contains("evaluation: stochastic (as the reference)"));
  EXPECT_THAT(report.reference_choices(),
              Contains("cut links in training: are cut (the reference: keep a tiny weight)"));
  EXPECT_THAT(report.choices(), Contains("graph prior: scale free"));
}

}  // namespace
}  // namespace distill::server
