// Parameter counts against the reference implementation's.
#include "server/planner/shapes.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distill::server {
namespace {

using ::testing::ElementsAre;

v1::VitSpec Vit(int width, int heads, const std::vector<int>& depths) {
  v1::VitSpec vit;
  vit.set_embed_dim(width);
  vit.set_heads(heads);
  vit.set_mlp_ratio(4.0);
  vit.set_qkv_bias(true);
  int sum = 0;
  for (const int depth : depths) {
    vit.add_stage_depths(depth);
    sum += depth;
  }
  vit.set_depth(sum);
  return vit;
}

v1::VmoeSpec VmoeBase(const std::vector<int>& depths) {
  v1::VmoeSpec vmoe;
  *vmoe.mutable_backbone() = Vit(768, 12, depths);
  vmoe.set_experts(8);
  vmoe.set_top_k(2);
  for (int block = 0; block < vmoe.backbone().depth(); ++block) vmoe.add_moe_blocks(block);
  return vmoe;
}

constexpr ImageGeometry kImageNet16 = {224, 16, 3, 1000};
constexpr ImageGeometry kImageNet14 = {224, 14, 3, 1000};

template <typename Spec>
std::vector<int64_t> ModulesOf(const Spec& spec, int modules, const ImageGeometry& geometry,
                               int meta_width) {
  std::vector<int64_t> counts;
  for (int i = 0; i < modules; ++i) {
    counts.push_back(CountModuleParameters(spec, modules, i, geometry, meta_width));
  }
  return counts;
}

TEST(ShapesTest, VitLargeMatchesTheReference) {
  const v1::VitSpec vit = Vit(1024, 16, {6, 6, 6, 6});
  EXPECT_EQ(CountParameters(vit, kImageNet16), 304'326'632);
  EXPECT_EQ(CountModuleParameters(vit, 4, 0, kImageNet16), 76'567'552);
  EXPECT_EQ(CountModuleParameters(vit, 4, 1, kImageNet16), 75'577'344);
  EXPECT_EQ(CountModuleParameters(vit, 4, 2, kImageNet16), 75'577'344);
  EXPECT_EQ(CountParameters(Vit(1024, 16, {1, 1, 1, 1}), kImageNet16), 52'402'152);
}

TEST(ShapesTest, VitHugeWithoutQkvBiasMatchesTheReference) {
  v1::VitSpec teacher = Vit(1280, 16, {4, 3, 3, 3, 3, 3, 3, 3, 3, 4});
  teacher.set_qkv_bias(false);
  EXPECT_EQ(CountParameters(teacher, kImageNet14), 631'922'920);
  EXPECT_EQ(CountModuleParameters(teacher, 10, 0, kImageNet14), 79'778'560);
  EXPECT_EQ(CountModuleParameters(teacher, 10, 1, kImageNet14), 59'020'800);
  v1::VitSpec meta = Vit(1280, 16, std::vector<int>(10, 1));
  meta.set_qkv_bias(false);
  EXPECT_EQ(CountParameters(meta, kImageNet14), 199'103'720);
}

TEST(ShapesTest, VmoeStudentsMatchTheReference) {
  const v1::VmoeSpec vmoe = VmoeBase({3, 3, 3, 3});
  EXPECT_EQ(CountParameters(vmoe, 4, kImageNet16, 1024), 483'325'768);
  EXPECT_THAT(ModulesOf(vmoe, 4, kImageNet16, 1024),
              ElementsAre(121'984'792, 122'031'384, 122'031'384, 122'012'928));
}

TEST(ShapesTest, KeptStitchesCountTowardsTheStudent) {
  v1::VmoeSpec vmoe = VmoeBase({3, 3, 3, 3});
  vmoe.set_keep_stitches(true);
  const int64_t stitches = 788'992 + 2 * 1'578'240 + 789'248;
  EXPECT_EQ(CountParameters(vmoe, 4, kImageNet16, 1024), 483'325'768 + stitches);
}

TEST(ShapesTest, DenseCounterpartMatchesTheReference) {
  EXPECT_EQ(CountParameters(Vit(768, 12, {3, 3, 3, 3}), kImageNet16), 86'567'656);
  v1::VmoeSpec no_mixture = VmoeBase({3, 3, 3, 3});
  no_mixture.clear_moe_blocks();
  EXPECT_EQ(CountParameters(no_mixture, 4, kImageNet16, 1024), 86'567'656);
}

// The paper's two configurations: Tiny-ImageNet and ImageNet.
v1::NacSpec Nac(int width, int inputs, int mediators, int heads, double capacity) {
  v1::NacSpec nac;
  nac.set_state_dim(width);
  nac.set_code_dim(width);
  nac.set_signature_dim(64);
  nac.set_input_latents(inputs);
  nac.set_mediator_latents(mediators);
  nac.set_output_latents(64);
  nac.set_heads(heads);
  nac.set_head_dim(64);
  nac.set_ffn_capacity_factor(capacity);
  nac.add_tokenizer_depths(3);
  nac.add_tokenizer_depths(3);
  nac.set_tokenizer_stem(4);
  nac.set_grid_channels(64);
  nac.set_codes(v1::NAC_CODES_CONSTANT);
  return nac;
}

v1::NacSpec TinyNac() { return Nac(384, 64, 256, 6, 2.0); }
v1::NacSpec ImageNetNac() { return Nac(512, 192, 768, 8, 1.0); }

TEST(ShapesTest, WholeNacsMatchTheReference) {
  EXPECT_EQ(CountParameters(TinyNac(), 10, {64, 8, 3, 200}, 1280), 26'703'342);
  EXPECT_EQ(CountParameters(ImageNetNac(), 10, kImageNet14, 1280), 37'589'294);
}

// Both read images of 224 pixels while they are distilled.
TEST(ShapesTest, NacModulesMatchTheReference) {
  const std::vector<int64_t> tiny = ModulesOf(TinyNac(), 10, kImageNet14, 1280);
  EXPECT_EQ(tiny.front(), 4'093'286);
  for (size_t i = 1; i < 9; ++i) EXPECT_EQ(tiny[i], 3'496'070);
  EXPECT_EQ(tiny.back(), 3'389'423);
  const std::vector<int64_t> large = ModulesOf(ImageNetNac(), 10, kImageNet14, 1280);
  EXPECT_EQ(large.front(), 5'898'246);
  EXPECT_EQ(large[1], 4'725'510);
  EXPECT_EQ(large.back(), 4'583'407);
}

TEST(ShapesTest, LearnedCodesBelongToTheirModules) {
  v1::NacSpec nac = TinyNac();
  nac.set_codes(v1::NAC_CODES_LEARNED);
  EXPECT_EQ(CountModuleParameters(nac, 10, 1, kImageNet14, 1280), 3'496'070 + 384);
}

TEST(ShapesTest, SharedLayersCountOnce) {
  v1::NacSpec nac = TinyNac();
  nac.set_share_layers(true);
  EXPECT_EQ(CountParameters(nac, 10, {64, 8, 3, 200}, 1280), 26'703'342 - 7 * 2'511'367);
}

TEST(ShapesTest, NoisyGatesHaveTwoMatrices) {
  v1::VmoeSpec vmoe = VmoeBase({3, 3, 3, 3});
  vmoe.mutable_router()->set_kind(v1::ROUTER_KIND_NOISY_TOP_K);
  EXPECT_EQ(CountParameters(vmoe, 4, kImageNet16, 1024), 483'325'768 + 12 * (768 * 8 - 8));
  vmoe.mutable_router()->set_kind(v1::ROUTER_KIND_VMOE);
  EXPECT_EQ(CountParameters(vmoe, 4, kImageNet16, 1024), 483'325'768 - 12 * 8);
}

}  // namespace
}  // namespace distill::server
