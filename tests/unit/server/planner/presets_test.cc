// Named recipes: what they say is the paper's, what a job says goes before it.
#include "server/planner/presets.h"

#include "gmock/gmock.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "server/planner/planner.h"
#include "server/planner/shapes.h"
#include "server/planner/spec_validation.h"
#include "tests/support/job_specs.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::JobSpec Preset(const std::string& name) {
  v1::JobSpec spec;
  spec.set_preset(name);
  return spec;
}

// What ImageNet's files would say, and all other sets in proportion.
DatasetInfo ImageNetInfo(int classes, int image_size) {
  DatasetInfo info;
  info.digest = "sha256:" + std::string(64, 'a');
  info.image_size = image_size;
  info.channels = 3;
  info.classes = classes;
  info.train_images = 1'281'167;
  info.smallest_class = 732;
  info.test_images = 50'000;
  for (int i = 0; i < classes; ++i) info.class_names.push_back(absl::StrCat("n", i));
  return info;
}

JobDatasets DatasetsOf(const v1::JobSpec& resolved) {
  const bool tiny = resolved.dataset().name() == "tiny-imagenet";
  JobDatasets infos;
  infos.main = ImageNetInfo(tiny ? 200 : 1000, tiny ? 64 : 0);
  for (int i = 0; i < resolved.evaluation().out_of_distribution_size(); ++i) {
    infos.out_of_distribution.push_back(ImageNetInfo(62, 0));
    infos.out_of_distribution.back().train_images = 0;
  }
  for (int i = 0; i < resolved.few_shot_size(); ++i) {
    infos.few_shot.push_back(ImageNetInfo(100, 32));
  }
  return infos;
}

TEST(PresetsTest, AllMakeAPlan) {
  EXPECT_THAT(PresetNames(), Contains("m2mkd-vmoe-base-imagenet"));
  for (const std::string& name : PresetNames()) {
    const v1::JobSpec resolved = ResolveDefaults(Preset(name));
    EXPECT_THAT(ValidateJobSpec(resolved), IsOk()) << name;
    const bool fashion =
        resolved.dataset().format() == v1::DATASET_FORMAT_IDX && !resolved.dataset().path().empty();
    const JobDatasets infos = fashion ? FashionInfos(resolved) : DatasetsOf(resolved);
    v1::JobSpec complete = ResolveDatasets(resolved, infos);
    EXPECT_THAT(ValidateDatasets(complete, infos), IsOk()) << name;
    complete.mutable_execution()->set_numeric_class("cpu-x86-avx2");
    EXPECT_THAT(Plan(complete, ""), IsOk()) << name;
  }
}

TEST(PresetsTest, ResolvingTwiceChangesNothing) {
  for (const std::string& name : PresetNames()) {
    const v1::JobSpec resolved = ResolveDefaults(Preset(name));
    EXPECT_EQ(resolved.preset(), name);
    EXPECT_TRUE(MessageDifferencer::Equals(ResolveDefaults(resolved), resolved)) << name;
  }
}

int64_t WholeSize(const v1::JobSpec& job, int image_size, int classes) {
  return CountParameters(job.student(), job.modules(), {image_size, job.patch_size(), 3, classes},
                         job.meta().embed_dim());
}

int64_t ModuleSize(const v1::JobSpec& job, int index, int image_size, int classes) {
  return CountModuleParameters(job.student(), job.modules(), index,
                               {image_size, job.patch_size(), 3, classes}, job.meta().embed_dim());
}

TEST(PresetsTest, NetworksHaveThePapersSizes) {
  const v1::JobSpec vmoe = ResolveDefaults(Preset("m2mkd-vmoe-base-imagenet"));
  EXPECT_EQ(WholeSize(vmoe, 224, 1000), 483'325'768);
  EXPECT_EQ(ModuleSize(vmoe, 0, 224, 1000), 121'984'792);
  EXPECT_EQ(ModuleSize(vmoe, 1, 224, 1000), 122'031'384);
  EXPECT_EQ(ModuleSize(vmoe, 3, 224, 1000), 122'012'928);
  EXPECT_EQ(CountParameters(vmoe.teacher(), {224, 16, 3, 1000}), 304'326'632);
  EXPECT_EQ(CountParameters(vmoe.meta(), {224, 16, 3, 1000}), 52'402'152);

  const v1::JobSpec nac = ResolveDefaults(Preset("m2mkd-nac-imagenet"));
  EXPECT_EQ(WholeSize(nac, 224, 1000), 37'589'294);
  EXPECT_EQ(CountParameters(nac.teacher(), {224, 14, 3, 1000}), 631'922'920);
  EXPECT_EQ(CountParameters(nac.meta(), {224, 14, 3, 1000}), 199'103'720);

  const v1::JobSpec tiny = ResolveDefaults(Preset("m2mkd-nac-tiny-imagenet"));
  EXPECT_EQ(WholeSize(tiny, 64, 200), 26'703'342);
  const v1::JobSpec modules = ResolveDefaults(Preset("m2mkd-nac-tiny-modules"));
  EXPECT_EQ(ModuleSize(modules, 0, 224, 1000), 4'093'286);
}

// The rates and images per step of the paper's recipes.
TEST(PresetsTest, StepsAreThePapers) {
  const auto images = [](const v1::TrainingRecipe& recipe) {
    return recipe.batch_size() * recipe.accumulate_steps();
  };
  const auto rate = [&images](const v1::TrainingRecipe& recipe) {
    return recipe.learning_rate() * images(recipe) / recipe.learning_rate_reference_batch();
  };
  const v1::JobSpec vmoe = ResolveDefaults(Preset("m2mkd-vmoe-base-imagenet"));
  EXPECT_EQ(images(vmoe.pretrain_meta()), 2048);
  EXPECT_EQ(vmoe.pretrain_meta().epochs(), 300);
  EXPECT_DOUBLE_EQ(rate(vmoe.distill_modules()), 2e-3);
  EXPECT_EQ(vmoe.distill_modules().epochs(), 100);
  EXPECT_DOUBLE_EQ(rate(vmoe.finetune_student()), 1e-3);
  EXPECT_EQ(vmoe.finetune_student().clip_grad_norm(), 1.0);
  EXPECT_EQ(vmoe.finetune_student().warmup_epochs(), 0.0);
  const v1::JobSpec tiny = ResolveDefaults(Preset("m2mkd-nac-tiny-imagenet"));
  EXPECT_DOUBLE_EQ(rate(tiny.finetune_student()), 2.4e-3);
  EXPECT_EQ(tiny.finetune_student().weight_decay(), 0.075);
}

TEST(PresetsTest, TheJobGoesBeforeItsPreset) {
  v1::JobSpec spec = Preset("m2mkd-vmoe-base-imagenet");
  spec.mutable_distill_modules()->set_epochs(10);
  spec.mutable_teacher()->set_depth(8);
  spec.mutable_dataset()->set_path("/data/other");
  spec.add_baselines(v1::BASELINE_KIND_EQUAL_COMPUTE);
  const v1::JobSpec resolved = ResolveDefaults(spec);
  EXPECT_EQ(resolved.distill_modules().epochs(), 10);
  EXPECT_EQ(resolved.distill_modules().batch_size(), 128);
  EXPECT_THAT(resolved.teacher().stage_depths(), ElementsAre(2, 2, 2, 2));
  EXPECT_EQ(resolved.teacher().embed_dim(), 1024);
  EXPECT_FALSE(resolved.dataset().has_name());
  EXPECT_EQ(resolved.dataset().input_size(), 224);
  EXPECT_THAT(resolved.baselines(), ElementsAre(v1::BASELINE_KIND_EQUAL_COMPUTE));
}

TEST(PresetsTest, AnotherStudentReplacesThePresetsStudent) {
  v1::JobSpec spec = Preset("m2mkd-vmoe-base-imagenet");
  spec.mutable_student()->mutable_nac()->set_state_dim(32);
  const v1::JobSpec resolved = ResolveDefaults(spec);
  ASSERT_TRUE(resolved.student().has_nac());
  EXPECT_EQ(resolved.student().nac().state_dim(), 32);
}

TEST(PresetsTest, GivenExpertBlocksReplaceThePlacement) {
  v1::JobSpec spec = Preset("m2mkd-vmoe-base-imagenet");
  spec.mutable_student()->mutable_vmoe()->add_moe_blocks(3);
  EXPECT_THAT(ResolveDefaults(spec).student().vmoe().moe_blocks(), ElementsAre(3));
}

TEST(PresetsTest, FewShotJobsAreBasedOnTheirStudentsJob) {
  const v1::JobSpec resolved = ResolveDefaults(Preset("m2mkd-vmoe-base-few-shot"));
  EXPECT_EQ(resolved.student().vmoe().experts(), 8);
  ASSERT_EQ(resolved.few_shot_size(), 2);
  EXPECT_EQ(resolved.few_shot(0).recipe().batch_size(), 40);
}

TEST(PresetsTest, UnknownNamesAreRefused) {
  v1::JobSpec spec = Preset("m2mkd");
  *spec.mutable_dataset() = MinimalSpec().dataset();
  EXPECT_THAT(ValidateJobSpec(ResolveDefaults(spec)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("preset: got \"m2mkd\", want one of fashion-mnist-nac, ")));
}

}  // namespace
}  // namespace distill::server
