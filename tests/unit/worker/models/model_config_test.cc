// Configurations: what is refused, and how stages are laid out.
#include "worker/models/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"
#include "tests/unit/worker/models/small_models.h"

namespace distill::models {
namespace {

using testing::HasSubstr;

template <typename Change>
absl::Status Checked(const Change& change) {
  VmoeConfig config = SmallVmoe(StageRole::kWhole, {1, 2}, {1});
  change(config);
  return StagesOf(config).status();
}

TEST(ModelConfigTest, NamesTheWrongField) {
  const auto code = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(Checked([](VmoeConfig&) {}), IsOk());
  EXPECT_THAT(Checked([](VmoeConfig& c) { c.vit.patch_size = 3; }),
              StatusIs(code, HasSubstr("patch_size must divide image_size")));
  EXPECT_THAT(Checked([](VmoeConfig& c) { c.vit.heads = 3; }), StatusIs(code, HasSubstr("heads")));
  EXPECT_THAT(Checked([](VmoeConfig& c) { c.vit.stage_depths = {}; }),
              StatusIs(code, HasSubstr("stage_depths")));
  EXPECT_THAT(Checked([](VmoeConfig& c) {
                c.vit.stage_depths = {1, 0};
              }),
              StatusIs(code, HasSubstr("stage_depths")));
  EXPECT_THAT(Checked([](VmoeConfig& c) { c.moe_blocks = {3}; }),
              StatusIs(code, HasSubstr("moe_blocks")));
  EXPECT_THAT(Checked([](VmoeConfig& c) { c.top_k = 4; }), StatusIs(code, HasSubstr("top_k")));
  EXPECT_THAT(Checked([](VmoeConfig& c) { c.vit.drop_path = 1.0; }),
              StatusIs(code, HasSubstr("drop_path")));
  EXPECT_THAT(Checked([](VmoeConfig& c) {
                c.pre_stitch_blocks = {1};
                c.stitch_width = 0;
              }),
              StatusIs(code, HasSubstr("stitch_width")));
}

TEST(ModelConfigTest, StagesKnowTheirPlace) {
  VmoeConfig config = SmallVmoe(StageRole::kWhole, {1, 2, 1}, {1, 3});
  config.vit.drop_path = 0.3;
  const std::vector<StageConfig> stages = StagesOf(config).value();
  ASSERT_EQ(stages.size(), 3u);
  EXPECT_TRUE(stages[0].has_embedding && !stages[0].has_head);
  EXPECT_TRUE(!stages[1].has_embedding && !stages[1].has_head);
  EXPECT_TRUE(!stages[2].has_embedding && stages[2].has_head);
  EXPECT_TRUE(stages[1].blocks[0].mixture_of_experts);
  EXPECT_FALSE(stages[1].blocks[1].mixture_of_experts);
  // A linear ramp over all blocks.
  EXPECT_DOUBLE_EQ(stages[0].blocks[0].drop_path, 0.0);
  EXPECT_DOUBLE_EQ(stages[1].blocks[1].drop_path, 0.2);
  EXPECT_DOUBLE_EQ(stages[2].blocks[0].drop_path, 0.3);
}

TEST(ModelConfigTest, RolesOfStudents) {
  const auto only = [](StageRole role) {
    return StagesOf(SmallVmoe(role, {2}, {0})).value().front();
  };
  EXPECT_TRUE(only(StageRole::kFirst).has_embedding && !only(StageRole::kFirst).has_head);
  EXPECT_TRUE(!only(StageRole::kMiddle).has_embedding && !only(StageRole::kMiddle).has_head);
  EXPECT_TRUE(!only(StageRole::kLast).has_embedding && only(StageRole::kLast).has_head);
}

}  // namespace
}  // namespace distill::models
