// What a job file may not say: each wrong field is named with what it is and what it should be.
#include "server/planner/spec_validation.h"

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/planner/defaults.h"
#include "tests/support/job_specs.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

absl::Status Check(const v1::JobSpec& spec) {
  const v1::JobSpec resolved = ResolveDefaults(spec);
  const absl::Status status = ValidateJobSpec(resolved);
  if (!status.ok()) return status;
  return ValidateDataset(ResolveDataset(resolved, FashionInfo()), FashionInfo());
}

TEST(DefaultsTest, MinimalSpecIsValidAndFullyResolved) {
  EXPECT_THAT(Check(MinimalSpec()), IsOk());
  const v1::JobSpec resolved = ResolveDefaults(MinimalSpec());
  EXPECT_EQ(resolved.modules(), 4);
  EXPECT_EQ(resolved.patch_size(), 7);
  EXPECT_THAT(resolved.meta().stage_depths(), ElementsAre(1, 1, 1, 1));
  EXPECT_THAT(resolved.teacher().stage_depths(), ElementsAre(2, 2, 2, 2));
  EXPECT_EQ(resolved.student().vmoe().backbone().embed_dim(), 48);
  EXPECT_THAT(resolved.student().vmoe().moe_blocks(), ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(resolved.student().vmoe().top_k(), 2);
  EXPECT_EQ(resolved.distillation().divisor(), v1::KD_DIVISOR_BATCH_MEAN);
  EXPECT_THAT(resolved.evaluation().severities(), ElementsAre(1, 2, 3, 4, 5));
}

TEST(DefaultsTest, ResolvingTwiceChangesNothing) {
  const v1::JobSpec once = CompleteSpec(MinimalSpec());
  EXPECT_EQ(ResolveDataset(ResolveDefaults(once), FashionInfo()).SerializeAsString(),
            once.SerializeAsString());
}

TEST(DefaultsTest, TeacherTakesTheWidthOfTheMetaModel) {
  v1::JobSpec spec = MinimalSpec();
  spec.mutable_meta()->set_embed_dim(96);
  EXPECT_EQ(ResolveDefaults(spec).teacher().embed_dim(), 96);
}

TEST(DefaultsTest, DepthFollowsFromStageDepths) {
  v1::JobSpec spec = MinimalSpec();
  for (const int depth : {4, 3, 3, 4}) spec.mutable_teacher()->add_stage_depths(depth);
  EXPECT_EQ(ResolveDefaults(spec).teacher().depth(), 14);
  EXPECT_THAT(Check(spec), IsOk());
}

TEST(DefaultsTest, SubsetSeedFollowsTheJobOnlyWhenASubsetIsDrawn) {
  v1::JobSpec spec = MinimalSpec();
  spec.set_seed(7);
  EXPECT_EQ(ResolveDefaults(spec).dataset().subset_seed(), 0u);
  spec.mutable_dataset()->set_train_images(20000);
  EXPECT_EQ(ResolveDefaults(spec).dataset().subset_seed(), 7u);
}

struct BadSpec {
  std::string message;  // Must be part of the error.
  std::function<void(v1::JobSpec&)> spoil;
};

std::vector<BadSpec> BadShapes() {
  return {
      {"modules: got 0, want 1 to 1000", [](v1::JobSpec& s) { s.set_modules(0); }},
      {"modules: got -3, want 1 to 1000", [](v1::JobSpec& s) { s.set_modules(-3); }},
      {"modules: got 2000000000, want 1 to 1000",
       [](v1::JobSpec& s) { s.set_modules(2000000000); }},
      {"teacher.depth: got 3, want at least one block per module, 4",
       [](v1::JobSpec& s) { s.mutable_teacher()->set_depth(3); }},
      {"teacher.depth: got 10, want a multiple of modules, 4; or give stage_depths",
       [](v1::JobSpec& s) { s.mutable_teacher()->set_depth(10); }},
      {"teacher.stage_depths: got sum 9, want depth, 8",
       [](v1::JobSpec& s) {
         s.mutable_teacher()->set_depth(8);
         for (const int depth : {3, 2, 2, 2}) s.mutable_teacher()->add_stage_depths(depth);
       }},
      {"meta.stage_depths: got 5 stages, want 4 (modules)",
       [](v1::JobSpec& s) {
         for (int i = 0; i < 5; ++i) s.mutable_meta()->add_stage_depths(1);
       }},
      {"meta.stage_depths[1]: got 0, want 1 to 128",
       [](v1::JobSpec& s) {
         for (const int depth : {2, 0, 1, 1}) s.mutable_meta()->add_stage_depths(depth);
       }},
      {"meta.embed_dim: got 64, want a multiple of heads, 5",
       [](v1::JobSpec& s) { s.mutable_meta()->set_heads(5); }},
      {"meta.heads: got 0, want 1 to 64", [](v1::JobSpec& s) { s.mutable_meta()->set_heads(0); }},
      {"teacher.embed_dim: got 32, want meta.embed_dim, 64",
       [](v1::JobSpec& s) { s.mutable_teacher()->set_embed_dim(32); }},
      {"student.vit.embed_dim: got 48, want meta.embed_dim, 64",
       [](v1::JobSpec& s) { s.mutable_student()->mutable_vit()->set_embed_dim(48); }},
      {"patch_size: got 5, want a divisor of the image size, 28",
       [](v1::JobSpec& s) { s.set_patch_size(5); }},
      {"patch_size: got 0, want 1 to 4096", [](v1::JobSpec& s) { s.set_patch_size(0); }},
      {"student.vmoe.top_k: got 5, want 1 to experts, 4",
       [](v1::JobSpec& s) { s.mutable_student()->mutable_vmoe()->set_top_k(5); }},
      {"student.vmoe.moe_blocks[0]: got 4, want 0 to 3",
       [](v1::JobSpec& s) { s.mutable_student()->mutable_vmoe()->add_moe_blocks(4); }},
      {"student.vmoe.moe_blocks[1]: got 1, want above 1",
       [](v1::JobSpec& s) {
         s.mutable_student()->mutable_vmoe()->add_moe_blocks(1);
         s.mutable_student()->mutable_vmoe()->add_moe_blocks(1);
       }},
      {"meta.mlp_ratio: got nan, want 0.5 to 8",
       [](v1::JobSpec& s) { s.mutable_meta()->set_mlp_ratio(kNaN); }},
  };
}

std::vector<BadSpec> BadNumbers() {
  return {
      {"distill_modules.learning_rate: got nan, want 0 to 100",
       [](v1::JobSpec& s) { s.mutable_distill_modules()->set_learning_rate(kNaN); }},
      {"pretrain_meta.epochs: got -1, want 0 to 10000",
       [](v1::JobSpec& s) { s.mutable_pretrain_meta()->set_epochs(-1); }},
      {"pretrain_meta.epochs: got inf",
       [](v1::JobSpec& s) {
         s.mutable_pretrain_meta()->set_epochs(std::numeric_limits<double>::infinity());
       }},
      {"pretrain_meta.warmup_epochs: got 2, want 0 to 1",
       [](v1::JobSpec& s) { s.mutable_pretrain_meta()->set_warmup_epochs(2); }},
      {"finetune_student.batch_size: got 0, want 1 to 65536",
       [](v1::JobSpec& s) { s.mutable_finetune_student()->set_batch_size(0); }},
      {"finetune_student.batch_size: got 1000, want at most the training images, 500",
       [](v1::JobSpec& s) {
         s.mutable_dataset()->set_train_images(500);
         s.mutable_finetune_student()->set_batch_size(1000);
       }},
      {"incubate_teacher.beta2: got 1, want at least 0, below 1",
       [](v1::JobSpec& s) { s.mutable_incubate_teacher()->set_beta2(1); }},
      {"finetune_teacher.epsilon: got 0, want above 0",
       [](v1::JobSpec& s) { s.mutable_finetune_teacher()->set_epsilon(0); }},
      {"distillation.tau: got 0, want 0.1 to 100",
       [](v1::JobSpec& s) { s.mutable_distillation()->set_tau(0); }},
      {"distillation.alpha: got 1.5, want 0 to 1",
       [](v1::JobSpec& s) { s.mutable_distillation()->set_alpha(1.5); }},
      {"distillation.kind: got 9",
       [](v1::JobSpec& s) { s.mutable_distillation()->set_kind(static_cast<v1::KdKind>(9)); }},
      {"dataset.train_images: got 15, want a multiple of classes, 10",
       [](v1::JobSpec& s) { s.mutable_dataset()->set_train_images(15); }},
      {"dataset.train_images: got 70000, want at most the data set's 60000",
       [](v1::JobSpec& s) { s.mutable_dataset()->set_train_images(70000); }},
      {"evaluation.severities[0]: got 6, want 1 to 5",
       [](v1::JobSpec& s) { s.mutable_evaluation()->add_severities(6); }},
      {"evaluation.corruption_images: got 20000, want at most the test images, 10000",
       [](v1::JobSpec& s) { s.mutable_evaluation()->set_corruption_images(20000); }},
      {"execution.max_bundle: got 65, want 1 to 64",
       [](v1::JobSpec& s) { s.mutable_execution()->set_max_bundle(65); }},
      {"execution.checkpoint_interval_seconds: got nan",
       [](v1::JobSpec& s) { s.mutable_execution()->set_checkpoint_interval_seconds(kNaN); }},
  };
}

std::vector<BadSpec> BadNames() {
  return {
      {"dataset.path: got nothing", [](v1::JobSpec& s) { s.clear_dataset(); }},
      {"dataset.path: got \"data\", want an absolute path",
       [](v1::JobSpec& s) { s.mutable_dataset()->set_path("data"); }},
      {"dataset.digest: got \"abc\"",
       [](v1::JobSpec& s) { s.mutable_dataset()->set_digest("abc"); }},
      {"dataset.digest: got sha256:bbb",
       [](v1::JobSpec& s) { s.mutable_dataset()->set_digest("sha256:" + std::string(64, 'b')); }},
      {"evaluation.corruptions[0]: got \"fog\", want one of gaussian_noise",
       [](v1::JobSpec& s) { s.mutable_evaluation()->add_corruptions("fog"); }},
      {"evaluation.corruptions[1]: got \"none\"",
       [](v1::JobSpec& s) {
         s.mutable_evaluation()->add_corruptions("contrast");
         s.mutable_evaluation()->add_corruptions("none");
       }},
      {"project: got \"../etc\"", [](v1::JobSpec& s) { s.set_project("../etc"); }},
      {"display_name: got 201 bytes",
       [](v1::JobSpec& s) { s.set_display_name(std::string(201, 'x')); }},
      {"baselines[1]: got BASELINE_KIND_ALL_IMAGES again",
       [](v1::JobSpec& s) {
         s.add_baselines(v1::BASELINE_KIND_ALL_IMAGES);
         s.add_baselines(v1::BASELINE_KIND_ALL_IMAGES);
       }},
      {"given.meta: got \"sha256:12\"",
       [](v1::JobSpec& s) { s.mutable_given()->set_meta("sha256:12"); }},
      {"given.teacher_stages: got 1 stages, want 4 (modules)",
       [](v1::JobSpec& s) {
         s.mutable_given()->add_teacher_stages("sha256:" + std::string(64, 'c'));
       }},
      {"given.teacher_stages: got given.teacher as well, want one of the two",
       [](v1::JobSpec& s) {
         s.mutable_given()->set_teacher("sha256:" + std::string(64, 'c'));
         for (int i = 0; i < 4; ++i) {
           s.mutable_given()->add_teacher_stages("sha256:" + std::string(64, 'c'));
         }
       }},
  };
}

void ExpectRefused(const std::vector<BadSpec>& table) {
  for (const BadSpec& bad : table) {
    v1::JobSpec spec = MinimalSpec();
    bad.spoil(spec);
    EXPECT_THAT(Check(spec),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("cannot accept job: "), HasSubstr(bad.message))))
        << bad.message;
  }
}

TEST(SpecValidationTest, RefusesImpossibleShapes) { ExpectRefused(BadShapes()); }
TEST(SpecValidationTest, RefusesNumbersOutOfBounds) { ExpectRefused(BadNumbers()); }
TEST(SpecValidationTest, RefusesUnknownNames) { ExpectRefused(BadNames()); }

TEST(SpecValidationTest, NamesAllWrongFieldsAtOnce) {
  v1::JobSpec spec = MinimalSpec();
  spec.mutable_meta()->set_heads(5);
  spec.mutable_distillation()->set_tau(0);
  EXPECT_THAT(Check(spec), StatusIs(absl::StatusCode::kInvalidArgument,
                                    AllOf(HasSubstr("meta.embed_dim"), HasSubstr("; "),
                                          HasSubstr("distillation.tau"))));
}

TEST(SpecValidationTest, ShowsAtMostTenFailures) {
  v1::JobSpec spec = MinimalSpec();
  for (int i = 0; i < 1000; ++i) spec.mutable_evaluation()->add_corruptions("fog");
  EXPECT_THAT(Check(spec), StatusIs(absl::StatusCode::kInvalidArgument,
                                    AllOf(HasSubstr("and 1989 more"), Not(HasSubstr("[20]")))));
}

TEST(SpecValidationTest, CorruptionsCanBeSwitchedOff) {
  v1::JobSpec spec = MinimalSpec();
  spec.mutable_evaluation()->add_corruptions("none");
  EXPECT_THAT(Check(spec), IsOk());
}

}  // namespace
}  // namespace distill::server
