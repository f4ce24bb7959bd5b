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
  const JobDatasets infos = FashionInfos(resolved);
  return ValidateDatasets(ResolveDatasets(resolved, infos), infos);
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
  EXPECT_EQ(ResolveDatasets(ResolveDefaults(once), FashionInfos(once)).SerializeAsString(),
            once.SerializeAsString());
}

TEST(DefaultsTest, TeacherTakesTheWidthOfTheMetaModel) {
  v1::JobSpec spec = MinimalSpec();
  spec.mutable_meta()->set_embed_dim(96);
  EXPECT_EQ(ResolveDefaults(spec).teacher().embed_dim(), 96);
}

TEST(DefaultsTest, PublishedShapesFillInWhatIsLeftOpen) {
  v1::JobSpec spec = MinimalSpec();
  spec.mutable_teacher()->set_preset("vit_huge_patch14_224");
  spec.mutable_teacher()->set_heads(20);
  const v1::VitSpec teacher = ResolveDefaults(spec).teacher();
  EXPECT_EQ(teacher.embed_dim(), 1280);
  EXPECT_EQ(teacher.heads(), 20);
  EXPECT_FALSE(teacher.qkv_bias());
  EXPECT_EQ(teacher.layer_norm_epsilon(), 1e-5);
  EXPECT_FALSE(teacher.has_preset());
}

TEST(DefaultsTest, PlacementsBecomeBlocks) {
  const auto blocks = [](const char* placement) {
    v1::JobSpec spec = MinimalSpec();
    spec.mutable_student()->mutable_vmoe()->mutable_backbone()->set_depth(8);
    spec.mutable_student()->mutable_vmoe()->set_moe_placement(placement);
    const auto vmoe = ResolveDefaults(spec).student().vmoe();
    return std::vector<int>(vmoe.moe_blocks().begin(), vmoe.moe_blocks().end());
  };
  EXPECT_THAT(blocks("all"), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_THAT(blocks("every_2"), ElementsAre(1, 3, 5, 7));
  EXPECT_THAT(blocks("last_2"), ElementsAre(5, 7));
}

TEST(DefaultsTest, RoutersTakeThePapersSettings) {
  v1::JobSpec spec = MinimalSpec();
  v1::RouterSpec& router = *spec.mutable_student()->mutable_vmoe()->mutable_router();
  EXPECT_EQ(ResolveDefaults(spec).student().vmoe().router().kind(), v1::ROUTER_KIND_TOP_K);
  router.set_kind(v1::ROUTER_KIND_GSHARD);
  EXPECT_EQ(ResolveDefaults(spec).student().vmoe().router().evaluation_capacity_factor(), 2.4);
  router.set_kind(v1::ROUTER_KIND_VMOE);
  EXPECT_EQ(ResolveDefaults(spec).student().vmoe().router().group_images(), 8);
  router.set_kind(v1::ROUTER_KIND_SWITCH);
  EXPECT_EQ(ResolveDefaults(spec).student().vmoe().top_k(), 1);
}

TEST(DefaultsTest, RegulariserFollowsThePrior) {
  v1::JobSpec spec = MinimalSpec();
  v1::GraphPriorSpec& prior = *spec.mutable_student()->mutable_nac()->mutable_prior();
  EXPECT_EQ(ResolveDefaults(spec).student().nac().regulariser().kind(),
            v1::SIGNATURE_REGULARISER_KIND_HINGE_REPULSION);
  prior.set_kind(v1::GRAPH_PRIOR_KIND_PLANTED_PARTITION);
  EXPECT_EQ(ResolveDefaults(spec).student().nac().regulariser().weight(), 1.0);
  prior.set_kind(v1::GRAPH_PRIOR_KIND_COMPLETE);
  EXPECT_EQ(ResolveDefaults(spec).student().nac().regulariser().kind(),
            v1::SIGNATURE_REGULARISER_KIND_NONE);
}

TEST(DefaultsTest, ASchedulesLastWeightIsZero) {
  v1::JobSpec spec = MinimalSpec();
  v1::NacSpec& nac = *spec.mutable_student()->mutable_nac();
  EXPECT_FALSE(ResolveDefaults(spec).student().nac().regulariser().has_final_weight());
  nac.mutable_regulariser()->set_schedule(v1::WEIGHT_SCHEDULE_COSINE);
  EXPECT_TRUE(ResolveDefaults(spec).student().nac().regulariser().has_final_weight());
  EXPECT_FALSE(ResolveDefaults(spec).student().nac().has_shared_layer());
  nac.set_share_layers(true);
  EXPECT_EQ(ResolveDefaults(spec).student().nac().shared_layer(), v1::NAC_SHARED_LAYER_MEAN);
}

TEST(DefaultsTest, FeaturesAreKeptWhileImagesStayAsTheyAre) {
  v1::JobSpec spec = MinimalSpec();
  v1::FewShotSpec& episode = *spec.add_few_shot();
  const auto features = [&spec] { return ResolveDefaults(spec).few_shot(0).features(); };
  EXPECT_EQ(features(), v1::FEW_SHOT_FEATURES_CACHED);
  episode.mutable_recipe()->set_label_smoothing(0.1);
  EXPECT_EQ(features(), v1::FEW_SHOT_FEATURES_CACHED);
  episode.mutable_recipe()->set_random_resized_crop(0.08);
  EXPECT_EQ(features(), v1::FEW_SHOT_FEATURES_LIVE);
  episode.clear_recipe();
  spec.mutable_student()->mutable_nac()->set_stochastic_evaluation(true);
  EXPECT_EQ(features(), v1::FEW_SHOT_FEATURES_LIVE);
}

TEST(DefaultsTest, ColourImagesOfVaryingSizeAreNormalisedAsImageNet) {
  DatasetInfo info = FashionInfo();
  info.image_size = 0;
  info.channels = 3;
  const v1::DatasetSpec dataset =
      ResolveDatasets(ResolveDefaults(MinimalSpec()), {info, {}, {}}).dataset();
  EXPECT_EQ(dataset.input_size(), 224);
  EXPECT_THAT(dataset.mean(), ElementsAre(0.485, 0.456, 0.406));
}

TEST(DefaultsTest, OtherImagesAreNormalisedByWhatTheirFilesSay) {
  DatasetInfo info = FashionInfo();
  info.mean = {0.1};
  info.deviation = {0.2};
  v1::JobSpec spec = MinimalSpec();
  const auto resolved = [&] {
    return ResolveDatasets(ResolveDefaults(spec), {info, {}, {}}).dataset();
  };
  EXPECT_THAT(resolved().mean(), ElementsAre(0.1));
  EXPECT_THAT(resolved().deviation(), ElementsAre(0.2));
  info.image_size = 0;  // Grey images of varying size.
  EXPECT_THAT(resolved().mean(), ElementsAre(0.1));
  spec.mutable_dataset()->add_mean(0.5);
  spec.mutable_dataset()->add_deviation(0.25);
  EXPECT_THAT(resolved().mean(), ElementsAre(0.5)) << "the job's own stay";
  EXPECT_THAT(resolved().deviation(), ElementsAre(0.25));
}

TEST(DefaultsTest, ClassesOfAnotherSetAreFoundByName) {
  v1::JobSpec spec = MinimalSpec();
  auto& set = *spec.mutable_evaluation()->add_out_of_distribution();
  set.set_name("r");
  JobDatasets infos;
  infos.main = FashionInfo();
  infos.main.classes = 3;
  infos.main.class_names = {"cat", "dog", "owl"};
  infos.out_of_distribution = {FashionInfo()};
  infos.out_of_distribution[0].class_names = {"owl", "cat"};
  const auto classes = [&] {
    const v1::JobSpec complete = ResolveDatasets(ResolveDefaults(spec), infos);
    const auto& found = complete.evaluation().out_of_distribution(0).classes();
    return std::vector<int>(found.begin(), found.end());
  };
  EXPECT_THAT(classes(), ElementsAre(2, 0));
  infos.out_of_distribution[0].class_names = {"owl", "elk"};
  EXPECT_THAT(classes(), ElementsAre());
}

TEST(SpecValidationTest, NamesTheClassThatTheModelDoesNotKnow) {
  v1::JobSpec spec = MinimalSpec();
  auto& set = *spec.mutable_evaluation()->add_out_of_distribution();
  set.set_name("r");
  set.mutable_dataset()->set_path("/data/r");
  JobDatasets infos;
  infos.main = FashionInfo();
  infos.main.class_names = {"cat", "dog", "owl"};
  infos.out_of_distribution = {FashionInfo()};
  infos.out_of_distribution[0].class_names = {"owl", "elk"};
  const auto message = [&] {
    return std::string(
        ValidateDatasets(ResolveDatasets(ResolveDefaults(spec), infos), infos).message());
  };
  EXPECT_THAT(message(), HasSubstr("1 class is not among those of dataset, the first is elk"));
  infos.main.class_names.clear();
  EXPECT_THAT(message(), HasSubstr("the classes of dataset have no names"));
}

TEST(SpecValidationTest, AnEpisodeNeedsEnoughClassesWithEnoughImages) {
  v1::JobSpec spec = MinimalSpec();
  v1::FewShotSpec& episode = *spec.add_few_shot();
  episode.set_name("cub");
  episode.mutable_dataset()->set_path("/data/cub");
  episode.set_ways(8);
  episode.set_shots(5);
  JobDatasets infos;
  infos.main = FashionInfo();
  infos.few_shot = {FashionInfo()};
  infos.few_shot[0].train_class_images.assign(10, 30);
  infos.few_shot[0].test_class_images = {11, 14, 15, 15, 15, 15, 15, 15, 15, 15};
  const auto validate = [&] {
    return ValidateDatasets(ResolveDatasets(ResolveDefaults(spec), infos), infos);
  };
  EXPECT_THAT(validate(), IsOk());
  episode.set_ways(9);
  EXPECT_THAT(validate(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("few_shot[0].ways: got 9, want at most 8, the classes that have "
                                 "5 training and 15 test images")));
  episode.set_test_images(14);
  EXPECT_THAT(validate(), IsOk());
  infos.few_shot[0].train_class_images.clear();
  EXPECT_THAT(validate(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at most 0")));
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
      {"modules: got 0, want 1 to 10000", [](v1::JobSpec& s) { s.set_modules(0); }},
      {"modules: got -3, want 1 to 10000", [](v1::JobSpec& s) { s.set_modules(-3); }},
      {"modules: got 2000000000, want 1 to 10000",
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
      {"meta.stage_depths[1]: got 0, want 1 to 40000",
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
      {"baselines[1]: got all_images again",
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

v1::NacSpec& NacOf(v1::JobSpec& spec) {
  v1::NacSpec& nac = *spec.mutable_student()->mutable_nac();
  if (!nac.has_tokenizer_stem()) nac.set_tokenizer_stem(2);
  return nac;
}

v1::RouterSpec& RouterOf(v1::JobSpec& spec) {
  return *spec.mutable_student()->mutable_vmoe()->mutable_router();
}

std::vector<BadSpec> BadStudents() {
  return {
      {"teacher.preset: got \"resnet50\", want one of deit_tiny_patch16_224",
       [](v1::JobSpec& s) { s.mutable_teacher()->set_preset("resnet50"); }},
      {"student.vmoe.moe_placement: got \"last_3\", want \"all\"",
       [](v1::JobSpec& s) { s.mutable_student()->mutable_vmoe()->set_moe_placement("last_3"); }},
      {"student.vmoe.moe_placement: got \"all\", want nothing beside moe_blocks",
       [](v1::JobSpec& s) {
         s.mutable_student()->mutable_vmoe()->set_moe_placement("all");
         s.mutable_student()->mutable_vmoe()->add_moe_blocks(1);
       }},
      {"student.vmoe.router.capacity_factor: got 1.2, want nothing; router top_k does not",
       [](v1::JobSpec& s) { RouterOf(s).set_capacity_factor(1.2); }},
      {"student.vmoe.top_k: got 3, want 2; router gshard is defined so",
       [](v1::JobSpec& s) {
         RouterOf(s).set_kind(v1::ROUTER_KIND_GSHARD);
         s.mutable_student()->mutable_vmoe()->set_top_k(3);
       }},
      {"student.vmoe.router.noise: got -1, want 0 to 1000",
       [](v1::JobSpec& s) {
         RouterOf(s).set_kind(v1::ROUTER_KIND_VMOE);
         RouterOf(s).set_noise(-1);
       }},
      {"modules: got 2, want at least 3; a NAC student has a read-in",
       [](v1::JobSpec& s) {
         NacOf(s);
         s.set_modules(2);
       }},
      {"student.nac.prior.attachments: got 64, want 1 to 63; student.nac.mediator_latents is 64",
       [](v1::JobSpec& s) { NacOf(s).mutable_prior()->set_attachments(64); }},
      {"student.nac.prior.communities: got 7, want a divisor of the mediators, 64",
       [](v1::JobSpec& s) {
         NacOf(s).mutable_prior()->set_kind(v1::GRAPH_PRIOR_KIND_RING_OF_CLIQUES);
         NacOf(s).mutable_prior()->set_communities(7);
       }},
      {"student.nac.prior.neighbours: got 5, want an even number",
       [](v1::JobSpec& s) {
         NacOf(s).mutable_prior()->set_kind(v1::GRAPH_PRIOR_KIND_WATTS_STROGATZ);
         NacOf(s).mutable_prior()->set_neighbours(5);
       }},
      {"student.nac.prior.p: got nan, want 0 to 1",
       [](v1::JobSpec& s) { NacOf(s).mutable_prior()->set_p(kNaN); }},
      {"student.nac.regulariser.kind: got graphon with the prior complete",
       [](v1::JobSpec& s) {
         NacOf(s).mutable_prior()->set_kind(v1::GRAPH_PRIOR_KIND_COMPLETE);
         NacOf(s).mutable_regulariser()->set_kind(v1::SIGNATURE_REGULARISER_KIND_GRAPHON);
       }},
      {"student.nac.truncation: got 2.5, want 0 to 2",
       [](v1::JobSpec& s) { NacOf(s).set_truncation(2.5); }},
      {"student.nac.state_dim: got 66, want a multiple of 4",
       [](v1::JobSpec& s) { NacOf(s).set_state_dim(66); }},
      {"student.nac.tokenizer_stem: got 4, want one with which the tokenizer's reduction",
       [](v1::JobSpec& s) { NacOf(s).set_tokenizer_stem(4); }},
      {"student.nac.shared_layer: got first, want nothing; share_layers is false",
       [](v1::JobSpec& s) { NacOf(s).set_shared_layer(v1::NAC_SHARED_LAYER_FIRST); }},
      {"student.nac.transfer: got 7, want one of everything, without_grid_and_classifier",
       [](v1::JobSpec& s) { NacOf(s).set_transfer(static_cast<v1::NacTransfer>(7)); }},
      {"student.nac.regulariser.final_weight: got 0.5, want nothing; schedule is constant",
       [](v1::JobSpec& s) { NacOf(s).mutable_regulariser()->set_final_weight(0.5); }},
      {"student.nac.regulariser.final_weight: got -1, want 0 to",
       [](v1::JobSpec& s) {
         NacOf(s).mutable_regulariser()->set_schedule(v1::WEIGHT_SCHEDULE_LINEAR);
         NacOf(s).mutable_regulariser()->set_final_weight(-1);
       }},
      {"student.nac.regulariser.schedule: got 9, want one of constant, linear, cosine",
       [](v1::JobSpec& s) {
         NacOf(s).mutable_regulariser()->set_schedule(static_cast<v1::WeightSchedule>(9));
       }},
  };
}

v1::FewShotSpec& AddEpisode(v1::JobSpec& spec, const std::string& name) {
  v1::FewShotSpec& episode = *spec.add_few_shot();
  episode.set_name(name);
  episode.mutable_dataset()->set_path("/data/fashion");
  return episode;
}

std::vector<BadSpec> BadGangs() {
  return {
      {"pretrain_meta.gang_size: got 65, want 1 to 64",
       [](v1::JobSpec& s) { s.mutable_pretrain_meta()->set_gang_size(65); }},
      {"finetune_teacher.gang_size: got 3, want a divisor of batch_size, 64",
       [](v1::JobSpec& s) { s.mutable_finetune_teacher()->set_gang_size(3); }},
      {"distill_modules.gang_size: got 2, want 1",
       [](v1::JobSpec& s) { s.mutable_distill_modules()->set_gang_size(2); }},
      {"few_shot[0].recipe.gang_size: got 2, want 1",
       [](v1::JobSpec& s) { AddEpisode(s, "cub").mutable_recipe()->set_gang_size(2); }},
      {"finetune_student.gang_size: got 2, want 1; this student's loss depends on the batch",
       [](v1::JobSpec& s) {
         NacOf(s);
         s.mutable_finetune_student()->set_gang_size(2);
       }},
      {"pretrain_meta.gang_size: got 2, want 1; trainers of a gang compute in one numeric class",
       [](v1::JobSpec& s) {
         s.mutable_pretrain_meta()->set_gang_size(2);
         s.mutable_execution()->set_numeric_class("any");
       }},
  };
}

std::vector<BadSpec> BadParts() {
  return {
      {"distill_modules.ema_decay: got 1, want at least 0, below 1",
       [](v1::JobSpec& s) { s.mutable_distill_modules()->set_ema_decay(1); }},
      {"distill_modules.precision: got 9, want one of float32",
       [](v1::JobSpec& s) {
         s.mutable_distill_modules()->set_precision(static_cast<v1::Precision>(9));
       }},
      {"distill_modules.crop_padding: got 2, want 0 beside random_resized_crop",
       [](v1::JobSpec& s) {
         s.mutable_distill_modules()->set_crop_padding(2);
         s.mutable_distill_modules()->set_random_resized_crop(0.08);
       }},
      {"finetune_student.repeated_augmentation: got 0, want 1 to 16",
       [](v1::JobSpec& s) { s.mutable_finetune_student()->set_repeated_augmentation(0); }},
      {"few_shot[0].name: got \"A b\"", [](v1::JobSpec& s) { AddEpisode(s, "A b"); }},
      {"few_shot[1].name: got \"cub\" again",
       [](v1::JobSpec& s) {
         AddEpisode(s, "cub");
         AddEpisode(s, "cub");
       }},
      {"few_shot[0].ways: got 11, want at most the data set's classes, 10",
       [](v1::JobSpec& s) { AddEpisode(s, "cub").set_ways(11); }},
      {"few_shot[0].recipe.learning_rate: got -1",
       [](v1::JobSpec& s) { AddEpisode(s, "cub").mutable_recipe()->set_learning_rate(-1); }},
      {"few_shot[0].features: got cached, want live, or a recipe without augmentation",
       [](v1::JobSpec& s) {
         AddEpisode(s, "cub").set_features(v1::FEW_SHOT_FEATURES_CACHED);
         s.mutable_few_shot(0)->mutable_recipe()->set_horizontal_flip(0.5);
       }},
      {"few_shot[0].features: got cached, want live, or student.nac.stochastic_evaluation: false",
       [](v1::JobSpec& s) {
         AddEpisode(s, "cub").set_features(v1::FEW_SHOT_FEATURES_CACHED);
         NacOf(s).set_stochastic_evaluation(true);
       }},
      {"few_shot[0].dataset.path: got nothing",
       [](v1::JobSpec& s) { AddEpisode(s, "cub").clear_dataset(); }},
      {"few_shot[0].dataset.input_size: got 32, want 28, as in dataset",
       [](v1::JobSpec& s) { AddEpisode(s, "cub").mutable_dataset()->set_input_size(32); }},
      {"evaluation.out_of_distribution[0].classes[1]: got 10, want below dataset.classes, 10",
       [](v1::JobSpec& s) {
         auto& set = *s.mutable_evaluation()->add_out_of_distribution();
         set.set_name("r");
         set.mutable_dataset()->set_path("/data/r");
         for (int label = 9; label < 19; ++label) set.add_classes(label);
       }},
      {"quality_gate.candidates: got 17, want 1 to 16",
       [](v1::JobSpec& s) { s.mutable_quality_gate()->set_candidates(17); }},
      {"quality_gate.largest_accuracy_gap: got nan",
       [](v1::JobSpec& s) { s.mutable_quality_gate()->set_largest_accuracy_gap(kNaN); }},
      {"given.student_modules: got 1 modules, want 4 (modules)",
       [](v1::JobSpec& s) {
         s.mutable_given()->add_student_modules("sha256:" + std::string(64, 'c'));
       }},
      {"given.student: got \"x\"", [](v1::JobSpec& s) { s.mutable_given()->set_student("x"); }},
      {"dataset.deviation: got 0 numbers, want 1, as many as mean",
       [](v1::JobSpec& s) { s.mutable_dataset()->add_mean(0.5); }},
      {"dataset.format: got 77, want one of idx",
       [](v1::JobSpec& s) { s.mutable_dataset()->set_format(static_cast<v1::DatasetFormat>(77)); }},
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
TEST(SpecValidationTest, RefusesImpossibleStudents) { ExpectRefused(BadStudents()); }
TEST(SpecValidationTest, RefusesWrongParts) { ExpectRefused(BadParts()); }

TEST(SpecValidationTest, RefusesWrongGangs) { ExpectRefused(BadGangs()); }
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
