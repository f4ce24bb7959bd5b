// Which of our deviations from the reference a report names.
#include "server/report/report_choices.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/job_specs.h"

namespace distill::server {
namespace {

using ::testing::Contains;
using ::testing::EndsWith;

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

TEST(ReportChoicesTest, SaysWhatTheRouterDoesAndWhere) {
  v1::JobSpec spec = MinimalSpec();
  v1::VmoeSpec& vmoe = *spec.mutable_student()->mutable_vmoe();
  vmoe.set_moe_placement("every_2");
  vmoe.mutable_router()->set_kind(v1::ROUTER_KIND_VMOE);
  vmoe.mutable_router()->set_batch_priority(true);
  const v1::Report report = ReportOn(spec);
  EXPECT_THAT(report.choices(), Contains("mixtures in blocks: 1 3"));
  EXPECT_THAT(report.choices(),
              Contains("router: vmoe, capacity 1.05 (1.05 in evaluation), noise 1, batch priority, "
                       "groups of 8 images, losses: importance 0.005, load 0.005"));
  EXPECT_THAT(report.choices(), Contains("student: V-MoE, 4 blocks (1 a module) of width 48, "
                                         "4 experts, top 2"));
}

TEST(ReportChoicesTest, ListsUnevenStagesButNotThousands) {
  v1::JobSpec spec = CompleteSpec(MinimalSpec());
  spec.mutable_teacher()->clear_stage_depths();
  for (const int depth : {4, 3, 3, 4}) spec.mutable_teacher()->add_stage_depths(depth);
  spec.mutable_teacher()->set_depth(14);
  v1::Report report;
  AddChoices(spec, report);
  EXPECT_THAT(report.choices(), Contains("teacher: 14 blocks (4 3 3 4) of width 64"));
  for (int i = 0; i < 10'000; ++i) spec.mutable_teacher()->add_stage_depths(3);
  report.clear_choices();
  AddChoices(spec, report);
  EXPECT_THAT(report.choices(), Contains(EndsWith(" 3 ... (10004 in all)) of width 64")));
}

TEST(ReportChoicesTest, NamesWhatWasGiven) {
  v1::JobSpec spec = MinimalSpec();
  spec.mutable_given()->set_meta("sha256:ab");
  for (const char* digest : {"sha256:cd", "sha256:ef"}) {
    spec.mutable_given()->add_teacher_stages(digest);
  }
  const v1::Report report = ReportOn(spec);
  EXPECT_THAT(report.choices(), Contains("given meta model: sha256:ab"));
  EXPECT_THAT(report.choices(), Contains("given teacher stages: sha256:cd sha256:ef"));
}

TEST(ReportChoicesTest, SaysHowModulesBecomeTheStudent) {
  v1::JobSpec spec = MinimalSpec();
  v1::NacSpec& nac = *spec.mutable_student()->mutable_nac();
  v1::Report report = ReportOn(spec);
  EXPECT_THAT(report.choices(), Contains("modules hand on: everything (the reference's imagenet)"));
  EXPECT_THAT(report.choices(), Contains("signature regulariser: hinge repulsion, weight 0.1"));
  EXPECT_THAT(
      report.reference_choices(),
      Contains("layer scale of the read-in's module starts at: 0.1 (the reference: 1e-06)"));
  nac.set_transfer(v1::NAC_TRANSFER_WITHOUT_GRID_AND_CLASSIFIER);
  nac.set_reference_read_in_scale(true);
  nac.set_share_layers(true);
  nac.mutable_regulariser()->set_schedule(v1::WEIGHT_SCHEDULE_LINEAR);
  report = ReportOn(spec);
  EXPECT_THAT(report.choices(),
              Contains("modules hand on: all but grid and classifier (the reference's tinynet)"));
  EXPECT_THAT(report.choices(), Contains("the one mediator layer: mean of modules"));
  EXPECT_THAT(report.choices(),
              Contains("signature regulariser: hinge repulsion, weight 0.1 to 0 (linear)"));
  EXPECT_THAT(report.reference_choices(),
              Contains("layer scale of the read-in's module starts at: 1e-06 (as the reference)"));
}

}  // namespace
}  // namespace distill::server
