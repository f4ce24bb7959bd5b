// Messages as configurations of networks.
#include "worker/training/network_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace distill::training {
namespace {

using models::RouterConfig;
using models::RouterKind;

RouterConfig Of(const v1::RouterSpec& spec) { return RouterConfigOf(spec).value(); }

TEST(RouterOptionsTest, AnEmptySpecIsTheReferenceGate) {
  const RouterConfig config = Of({});
  EXPECT_EQ(config.kind, RouterKind::kTopK);
  EXPECT_EQ(config.capacity_factor, 0);
}

TEST(RouterOptionsTest, KindsBringTheirDefaults) {
  v1::RouterSpec spec;
  spec.set_kind(v1::ROUTER_KIND_VMOE);
  EXPECT_EQ(Of(spec).capacity_factor, 1.05);
  EXPECT_EQ(Of(spec).group_images, 8);
  spec.set_kind(v1::ROUTER_KIND_GSHARD);
  EXPECT_EQ(Of(spec).evaluation_capacity_factor, 2.4);
  spec.set_kind(v1::ROUTER_KIND_SWITCH);
  EXPECT_EQ(Of(spec).noise, 0.1);
}

TEST(RouterOptionsTest, FieldsReplaceDefaults) {
  v1::RouterSpec spec;
  spec.set_kind(v1::ROUTER_KIND_VMOE);
  spec.set_capacity_factor(2);
  spec.set_noise(0);
  spec.set_batch_priority(true);
  spec.set_group_images(0);
  spec.set_load_weight(0.25);
  const RouterConfig config = Of(spec);
  EXPECT_EQ(config.capacity_factor, 2);
  EXPECT_EQ(config.evaluation_capacity_factor, 2);
  EXPECT_EQ(config.noise, 0);
  EXPECT_TRUE(config.batch_priority);
  EXPECT_EQ(config.group_images, 0);
  EXPECT_EQ(config.load_weight, 0.25);
  spec.set_evaluation_capacity_factor(4);
  EXPECT_EQ(Of(spec).evaluation_capacity_factor, 4);
  spec.set_kind(v1::ROUTER_KIND_GSHARD);
  spec.clear_evaluation_capacity_factor();
  EXPECT_EQ(Of(spec).evaluation_capacity_factor, 2.4);
}

TEST(RouterOptionsTest, TheReferenceGateHasNoSettings) {
  v1::RouterSpec spec;
  spec.set_kind(v1::ROUTER_KIND_TOP_K);
  spec.set_capacity_factor(1);
  EXPECT_EQ(Of(spec).capacity_factor, 0);
}

TEST(RouterOptionsTest, UnknownKindsAreRefused) {
  v1::RouterSpec spec;
  spec.set_kind(static_cast<v1::RouterKind>(99));
  EXPECT_THAT(RouterConfigOf(spec), StatusIs(absl::StatusCode::kInvalidArgument,
                                             testing::HasSubstr("router.kind: unknown; got=99")));
}

TEST(NacOptionsTest, WhatIsNotSetKeepsTheNetworksDefault) {
  const NetworkFrame frame = {28, 1, 7, 10, 4};
  const absl::StatusOr<models::NacConfig> config = NacConfigOf(frame, {});
  ASSERT_THAT(config, IsOk());
  const models::NacConfig defaults;
  EXPECT_EQ(config->state_dim, defaults.state_dim);
  EXPECT_EQ(config->tokenizer_depths, defaults.tokenizer_depths);
  EXPECT_EQ(config->truncation, defaults.truncation);
  EXPECT_EQ(config->cut_links, models::CutLinks::kRemoved);
  EXPECT_EQ(config->layers, 2);
  EXPECT_FALSE(config->share_layers);
}

TEST(NacOptionsTest, FieldsReplaceDefaults) {
  v1::NacSpec nac;
  nac.set_state_dim(32);
  nac.add_tokenizer_depths(2);
  nac.set_share_layers(true);
  nac.set_reference_link_sampling(true);
  nac.set_reference_bandwidth(true);
  nac.set_code_noise(0.25);
  nac.set_codes(v1::NAC_CODES_LEARNED);
  nac.set_reference_read_in_scale(true);
  const auto module = NacModuleConfigOf({28, 3, 7, 10, 4}, nac, /*index=*/3, /*stitch_width=*/20);
  ASSERT_THAT(module, IsOk());
  EXPECT_EQ(module->kind, models::NacModuleKind::kReadOut);
  EXPECT_EQ(module->stitch_width, 20);
  EXPECT_EQ(module->codes, models::ModuleCodes::kLearned);
  EXPECT_TRUE(module->reference_read_in_scale);
  EXPECT_EQ(module->nac.state_dim, 32);
  EXPECT_EQ(module->nac.channels, 3);
  EXPECT_EQ(module->nac.tokenizer_depths, std::vector<int64_t>({2}));
  EXPECT_TRUE(module->nac.share_layers);
  EXPECT_EQ(module->nac.cut_links, models::CutLinks::kReference);
  EXPECT_EQ(module->nac.bandwidth_form, models::BandwidthForm::kFree);
  EXPECT_EQ(module->nac.code_noise, 0.25);
}

TEST(NacOptionsTest, ANacHasAtLeastThreeModules) {
  EXPECT_THAT(NacConfigOf({28, 1, 7, 10, 2}, {}),
              StatusIs(absl::StatusCode::kInvalidArgument, testing::HasSubstr("got=2")));
}

TEST(VmoeOptionsTest, StitchesStandBetweenStages) {
  models::VmoeConfig config;
  config.vit.stage_depths = {2, 1, 3};
  AddStitches(24, &config);
  EXPECT_EQ(config.stitch_width, 24);
  EXPECT_EQ(config.pre_stitch_blocks, std::vector<int64_t>({2, 3}));
  EXPECT_EQ(config.post_stitch_blocks, std::vector<int64_t>({1, 2}));
}

}  // namespace
}  // namespace distill::training
