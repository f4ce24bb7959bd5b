// Identities that must hold between hybrids, students and assembled models.
#include "worker/models/hybrid.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tests/support/status_matchers.h"
#include "tests/support/torch/gradient_check.h"
#include "tests/unit/worker/models/small_models.h"
#include "worker/models/state.h"

namespace distill::models {
namespace {

torch::Tensor Pixels(int64_t batch = 3) {
  return Variable({batch, 2, 8, 8}, 1).detach().to(torch::kFloat);
}

TEST(HybridTest, MetaStageInItsOwnPlaceIsTheMetaModel) {
  const StagedModel meta = SmallModel(SmallVit({1, 1, 1}), 1);
  Freeze(meta);
  const torch::Tensor want = meta.Forward(Pixels(), {});
  for (int64_t i = 0; i < 3; ++i) {
    const torch::Tensor prefix = PrefixOutput(meta, i, Pixels(), {});
    const VitStage stage = meta.stages()[static_cast<size_t>(i)];
    EXPECT_TRUE(torch::equal(TeacherLogits(meta, i, stage, prefix), want));
    EXPECT_TRUE(torch::equal(HybridLogits(meta, i, stage, prefix, {}), want));
  }
}

// The same for a student that is a copy, made through its exported weights.
TEST(HybridTest, StudentCopyOfTheMetaStageGivesTheMetaLogits) {
  const StagedModel meta = SmallModel(SmallVit({1, 1, 1}), 1);
  VmoeConfig config;
  config.vit = SmallVit({1});
  config.role = StageRole::kMiddle;
  const StagedModel student = SmallModel(config, 2);
  ASSERT_THAT(ImportState(student.stages()[0], ToMap(ExportState(meta.stages()[1]))), IsOk());
  const torch::Tensor prefix = PrefixOutput(meta, 1, Pixels(), {});
  EXPECT_TRUE(torch::equal(HybridLogits(meta, 1, student.stages()[0], prefix, {}),
                           meta.Forward(Pixels(), {})));
}

TEST(HybridTest, PrefixesMayBeExtended) {
  const StagedModel meta = SmallModel(SmallVit({1, 1, 1}), 1);
  const torch::Tensor first = PrefixOutput(meta, 1, Pixels(), {});
  EXPECT_TRUE(
      torch::equal(ExtendPrefix(meta, 1, 2, first, {}), PrefixOutput(meta, 2, Pixels(), {})));
}

// Distilled modules chained one after the other compute what the assembled model with stitches
// computes.
TEST(HybridTest, AssemblyWithStitchesEqualsChainedStudents) {
  VmoeConfig whole = SmallVmoe(StageRole::kWhole, {2, 1, 2}, {0, 1, 2, 3, 4});
  whole.pre_stitch_blocks = {2, 3};
  whole.post_stitch_blocks = {1, 2};
  const StagedModel assembled = SmallModel(whole, 2);

  const auto student = [](StageRole role, int64_t depth, bool pre, bool post) {
    VmoeConfig config = SmallVmoe(role, {depth}, {0, 1});
    config.moe_blocks.resize(static_cast<size_t>(depth));
    if (pre) config.pre_stitch_blocks = {0};
    if (post) config.post_stitch_blocks = {depth - 1};
    return StagedModel::Create(config).value();
  };
  const std::vector<StagedModel> students = {student(StageRole::kFirst, 2, false, true),
                                             student(StageRole::kMiddle, 1, true, true),
                                             student(StageRole::kLast, 2, true, false)};
  torch::Tensor x = Pixels();
  for (size_t s = 0; s < students.size(); ++s) {
    ASSERT_THAT(ImportState(students[s].stages()[0], ToMap(ExportState(assembled.stages()[s]))),
                IsOk());
    x = students[s].Forward(x, {});
  }
  EXPECT_TRUE(torch::equal(x, assembled.Forward(Pixels(), {})));
}

TEST(HybridTest, FrozenStagesGetNoGradient) {
  const StagedModel meta = SmallModel(SmallVit({1, 1, 1}), 1);
  const StagedModel module = SmallModel(SmallVit({1, 2, 1}), 2);
  Freeze(meta);
  const torch::Tensor prefix = PrefixOutput(meta, 1, Pixels(), {});
  EXPECT_FALSE(prefix.requires_grad());
  HybridLogits(meta, 1, module.stages()[1], prefix, {}).square().sum().backward();
  for (const VitStage& stage : meta.stages()) {
    for (const torch::Tensor& p : stage->parameters()) EXPECT_FALSE(p.grad().defined());
  }
  for (const torch::Tensor& p : module.stages()[1]->parameters()) {
    EXPECT_TRUE(p.grad().defined());
  }
}

// Bundled and single runs draw the same masks: they belong to a place, not to a moment.
TEST(HybridTest, SlicesDrawTheNumbersOfTheWhole) {
  VitConfig config = SmallVit({2, 1, 2});
  config.drop_path = 0.5;
  config.dropout = 0.1;
  const StagedModel model = SmallModel(config, 3);
  const ForwardContext context = {true, CounterRandom(4), nullptr};
  const torch::Tensor want = model.Forward(Pixels(8), context);
  torch::Tensor x = model.ForwardStages(Pixels(8), 0, 1, context);
  model.Forward(Pixels(8), context);  // Another pass in between changes nothing.
  x = model.ForwardStages(x, 1, 3, context);
  EXPECT_TRUE(torch::equal(x, want));
  EXPECT_FALSE(torch::equal(model.Forward(Pixels(8), {}), want));
}

// The last block computes only what the classifier reads; it must be what the whole block computes.
TEST(BlockTest, ClassTokenAloneIsTheFirstOfAll) {
  for (const bool moe : {false, true}) {
    VmoeConfig config = SmallVmoe(StageRole::kMiddle, {1}, {});
    if (moe) config.moe_blocks = {0};
    config.vit.drop_path = 0.5;
    StageConfig stage = StagesOf(config).value()[0];
    stage.blocks[0].drop_path = 0.5;
    Block block(stage, stage.blocks[0]);
    block->to(torch::kDouble);
    uint64_t seed = 0;
    for (torch::Tensor& p : block->parameters()) {
      const torch::NoGradGuard no_gradient;
      p.copy_(Variable(p.sizes(), ++seed));
    }
    const torch::Tensor x = Variable({6, 5, 8}, 1).detach();
    const ForwardContext context = {true, CounterRandom(3), nullptr};
    const torch::Tensor all = block->forward(x, context);
    const torch::Tensor one = block->ForwardClassToken(x, context);
    EXPECT_TRUE(torch::allclose(one, all.narrow(1, 0, 1), 1e-12, 1e-12));
  }
}

TEST(HybridTest, RepeatedPassesGiveTheSameBits) {
  const StagedModel model = SmallModel(SmallVmoe(StageRole::kWhole, {1, 1}, {0, 1}), 3);
  EXPECT_TRUE(torch::equal(model.Forward(Pixels(), {}), model.Forward(Pixels(), {})));
}

}  // namespace
}  // namespace distill::models
