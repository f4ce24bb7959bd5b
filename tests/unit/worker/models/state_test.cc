// Names and shapes at the boundary of a model, and strict loading.
#include "worker/models/state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <limits>

#include "tests/support/status_matchers.h"
#include "tests/unit/worker/models/small_models.h"

namespace distill::models {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using Shape = std::vector<int64_t>;

std::vector<std::string> Names(const std::vector<NamedTensor>& tensors) {
  std::vector<std::string> names;
  for (const NamedTensor& tensor : tensors) names.push_back(tensor.name);
  return names;
}

VmoeConfig Student() {
  VmoeConfig config = SmallVmoe(StageRole::kMiddle, {2}, {1});
  config.pre_stitch_blocks = {0};
  config.post_stitch_blocks = {1};
  return config;
}

StateMap Copy(const VitStage& stage) {
  StateMap state = ToMap(ExportState(stage));
  for (auto& [name, tensor] : state) tensor = tensor.clone();
  return state;
}

TEST(StateTest, ReferenceNamesAndShapes) {
  const StagedModel model = SmallModel(SmallVmoe(StageRole::kWhole, {1, 1}, {1}), 1);
  const StateMap state = ToMap(ExportState(model));
  const auto shape = [&](const std::string& name) { return state.at(name).sizes().vec(); };
  EXPECT_EQ(shape("cls_token"), (Shape{1, 1, 8}));
  EXPECT_EQ(shape("pos_embed"), (Shape{1, 5, 8}));
  EXPECT_EQ(shape("stages.0.patch_embed.proj.weight"), (Shape{8, 2, 4, 4}));
  EXPECT_EQ(shape("stages.0.blocks.0.mlp.fc1.weight"), (Shape{16, 8}));
  EXPECT_EQ(shape("stages.1.blocks.0.moe.gate.gate.weight"), (Shape{3, 8}));
  EXPECT_EQ(shape("stages.1.blocks.0.moe.experts.2.htoh4.weight"), (Shape{1, 16, 8}));
  EXPECT_EQ(shape("stages.1.blocks.0.moe.experts.2.h4toh.bias"), (Shape{1, 8}));
  EXPECT_EQ(shape("stages.1.head.weight"), (Shape{5, 8}));
}

TEST(StateTest, StitchNames) {
  const std::vector<std::string> names = Names(ExportState(SmallModel(Student(), 1).stages()[0]));
  EXPECT_THAT(names, AllOf(Contains("blocks.0.pre_stitch.ln.weight"),
                           Contains("blocks.0.pre_stitch.fc.bias"),
                           Contains("blocks.1.post_stitch.fc.weight"), Not(Contains("cls_token"))));
}

TEST(StateTest, FlatNamesCountBlocksOverTheModel) {
  const std::vector<std::string> names = Names(ExportFlatState(SmallModel(SmallVit({2, 1}), 1)));
  EXPECT_THAT(names, AllOf(Contains("cls_token"), Contains("patch_embed.proj.weight"),
                           Contains("blocks.2.attn.qkv.weight"), Contains("norm.weight"),
                           Contains("head.bias"), Not(Contains("blocks.3.attn.qkv.weight"))));
}

TEST(StateTest, NoBiasWithoutQkvBias) {
  VitConfig config = SmallVit({1});
  config.qkv_bias = false;
  const StagedModel model = SmallModel(config, 1);
  EXPECT_THAT(Names(ExportState(model)), Not(Contains("stages.0.blocks.0.attn.qkv.bias")));
  EXPECT_EQ(model.Forward(torch::ones({1, 2, 8, 8}), {}).size(1), 5);
}

TEST(StateTest, RoundTripMakesEqualModels) {
  const StagedModel from = SmallModel(SmallVmoe(StageRole::kWhole, {1, 2}, {0, 2}), 1);
  const StagedModel to = SmallModel(SmallVmoe(StageRole::kWhole, {1, 2}, {0, 2}), 2);
  ASSERT_THAT(ImportState(to, ToMap(ExportState(from))), IsOk());
  const torch::Tensor pixels = torch::ones({1, 2, 8, 8});
  EXPECT_TRUE(torch::equal(to.Forward(pixels, {}), from.Forward(pixels, {})));
}

TEST(StateTest, WholeStateSplitsIntoStages) {
  const StagedModel model = SmallModel(SmallVit({1, 2}), 1);
  const StateMap whole = ToMap(ExportState(model));
  const StagedModel other = SmallModel(SmallVit({1, 2}), 2);
  for (int64_t s = 0; s < 2; ++s) {
    EXPECT_THAT(ImportState(other.stages()[static_cast<size_t>(s)], StageState(whole, s)), IsOk());
  }
  const torch::Tensor pixels = torch::ones({1, 2, 8, 8});
  EXPECT_TRUE(torch::equal(other.Forward(pixels, {}), model.Forward(pixels, {})));
}

TEST(StateTest, EveryFaultIsListedAndNothingIsLoaded) {
  const StagedModel model = SmallModel(SmallVit({1}), 1);
  const VitStage& stage = model.stages()[0];
  StateMap state = Copy(stage);
  for (auto& [name, tensor] : state) tensor += 1.0;
  state.erase("norm.bias");
  state["surprise"] = torch::zeros({1});
  state["head.weight"] = torch::zeros({5, 7});
  state["cls_token"].fill_(std::numeric_limits<float>::quiet_NaN());
  const StateMap before = Copy(stage);
  EXPECT_THAT(ImportState(stage, state),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("4 faults"), HasSubstr("missing norm.bias"),
                             HasSubstr("unexpected surprise"),
                             HasSubstr("shape of head.weight got=[5,7] want=[5,12]"),
                             HasSubstr("not finite in cls_token"))));
  for (const NamedTensor& tensor : ExportState(stage)) {
    EXPECT_TRUE(torch::equal(tensor.tensor, before.at(tensor.name))) << tensor.name;
  }
}

// Assembly: students keep their stitches in their files, the assembled model has none.
TEST(StateTest, StitchesAreDroppedOnlyWhenAsked) {
  const StagedModel student = SmallModel(Student(), 1);
  VmoeConfig plain = Student();
  plain.pre_stitch_blocks = {};
  plain.post_stitch_blocks = {};
  const StagedModel target = SmallModel(plain, 2);
  const StateMap state = ToMap(ExportState(student.stages()[0]));
  EXPECT_THAT(ImportState(target.stages()[0], state),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("pre_stitch")));
  ImportOptions options;
  options.drop_stitches = true;
  EXPECT_THAT(ImportState(target.stages()[0], state, options), IsOk());
}

TEST(StateTest, HeadMayKeepItsValues) {
  const StagedModel model = SmallModel(SmallVit({1}), 1);
  StateMap state = Copy(model.stages()[0]);
  state.erase("head.weight");
  state.erase("head.bias");
  ImportOptions options;
  EXPECT_FALSE(ImportState(model.stages()[0], state, options).ok());
  options.keep_head = true;
  EXPECT_THAT(ImportState(model.stages()[0], state, options), IsOk());
}

}  // namespace
}  // namespace distill::models
