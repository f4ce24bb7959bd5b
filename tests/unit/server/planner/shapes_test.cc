// Parameter counts against the reference implementation's.
#include "server/planner/shapes.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/planner/planner.h"
#include "tests/support/job_specs.h"
#include "tests/support/status_matchers.h"

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

TEST(ShapesTest, VitLargeMatchesTheReference) {
  const ParameterCounts counts = CountParameters(Vit(1024, 16, {6, 6, 6, 6}), kImageNet16);
  EXPECT_EQ(counts.total, 304'326'632);
  EXPECT_EQ(counts.modules[0], 76'567'552);
  EXPECT_EQ(counts.modules[1], 75'577'344);
  EXPECT_EQ(counts.modules[2], 75'577'344);
  EXPECT_EQ(CountParameters(Vit(1024, 16, {1, 1, 1, 1}), kImageNet16).total, 52'402'152);
}

TEST(ShapesTest, VitHugeWithoutQkvBiasMatchesTheReference) {
  v1::VitSpec teacher = Vit(1280, 16, {4, 3, 3, 3, 3, 3, 3, 3, 3, 4});
  teacher.set_qkv_bias(false);
  const ParameterCounts counts = CountParameters(teacher, kImageNet14);
  EXPECT_EQ(counts.total, 631'922'920);
  EXPECT_EQ(counts.modules[0], 79'778'560);
  EXPECT_EQ(counts.modules[1], 59'020'800);
  v1::VitSpec meta = Vit(1280, 16, std::vector<int>(10, 1));
  meta.set_qkv_bias(false);
  EXPECT_EQ(CountParameters(meta, kImageNet14).total, 199'103'720);
}

TEST(ShapesTest, VmoeStudentsMatchTheReference) {
  const ParameterCounts counts = CountParameters(VmoeBase({3, 3, 3, 3}), kImageNet16, 1024);
  EXPECT_EQ(counts.total, 483'325'768);
  EXPECT_THAT(counts.modules, ElementsAre(121'984'792, 122'031'384, 122'031'384, 122'012'928));
}

TEST(ShapesTest, KeptStitchesCountTowardsTheStudent) {
  v1::VmoeSpec vmoe = VmoeBase({3, 3, 3, 3});
  vmoe.set_keep_stitches(true);
  const int64_t stitches = 788'992 + 2 * 1'578'240 + 789'248;
  EXPECT_EQ(CountParameters(vmoe, kImageNet16, 1024).total, 483'325'768 + stitches);
}

TEST(ShapesTest, DenseCounterpartMatchesTheReference) {
  EXPECT_EQ(CountParameters(Vit(768, 12, {3, 3, 3, 3}), kImageNet16).total, 86'567'656);
  v1::VmoeSpec no_mixture = VmoeBase({3, 3, 3, 3});
  no_mixture.clear_moe_blocks();
  EXPECT_EQ(CountParameters(no_mixture, kImageNet16, 1024).total, 86'567'656);
}

TEST(ShapesTest, MemoryGrowsWithTheBatchAndStaysSmallForTheDefaultJob) {
  const absl::StatusOr<JobPlan> plan = Plan(CompleteSpec(MinimalSpec()), "");
  ASSERT_THAT(plan, IsOk());
  for (const PlannedTask& task : plan->tasks) {
    EXPECT_GT(task.predicted_memory_bytes, 200 << 20) << task.name;
    EXPECT_LT(task.predicted_memory_bytes, int64_t{1500} << 20) << task.name;
  }
  v1::TaskSpec larger = plan->tasks[0].spec;
  larger.mutable_recipe()->set_batch_size(4096);
  EXPECT_GT(PredictMemoryBytes(larger), plan->tasks[0].predicted_memory_bytes);
}

}  // namespace
}  // namespace distill::server
