// Stages that are divided evenly need no list, and lists mean the same with and without it.
#include "storage/weights/stage_depths.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distill::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

v1::VitSpec Vit(int depth, const std::vector<int>& stages) {
  v1::VitSpec vit;
  vit.set_depth(depth);
  for (const int stage : stages) vit.add_stage_depths(stage);
  return vit;
}

TEST(StageDepthsTest, AreListedOrEven) {
  const v1::VitSpec listed = Vit(7, {1, 4, 2});
  EXPECT_THAT(StageDepths(listed, 3), ElementsAre(1, 4, 2));
  EXPECT_EQ(StageDepth(listed, 3, 1), 4);
  EXPECT_EQ(FirstBlock(listed, 3, 2), 5);
  EXPECT_EQ(FirstBlock(listed, 3, 3), 7);
  const v1::VitSpec even = Vit(6, {});
  EXPECT_THAT(StageDepths(even, 3), ElementsAre(2, 2, 2));
  EXPECT_EQ(StageDepth(even, 3, 2), 2);
  EXPECT_EQ(FirstBlock(even, 3, 2), 4);
  EXPECT_EQ(FirstBlock(even, 3, 3), 6);
}

TEST(StageDepthsTest, ThatDoNotFitAreNone) {
  EXPECT_THAT(StageDepths(Vit(7, {}), 3), IsEmpty());
  EXPECT_THAT(StageDepths(Vit(7, {}), 0), IsEmpty());
  EXPECT_EQ(StageDepth(Vit(6, {}), 3, 3), 0);
  EXPECT_EQ(StageDepth(Vit(6, {2, 4}), 3, 2), 0);
}

TEST(StageDepthsTest, OnlyEvenOnesAreForgotten) {
  v1::VitSpec even = Vit(6, {2, 2, 2});
  ForgetEvenDepths(even);
  EXPECT_THAT(even.stage_depths(), IsEmpty());
  EXPECT_THAT(StageDepths(even, 3), ElementsAre(2, 2, 2));
  v1::VitSpec uneven = Vit(6, {2, 3, 1});
  ForgetEvenDepths(uneven);
  EXPECT_THAT(uneven.stage_depths(), ElementsAre(2, 3, 1));
}

}  // namespace
}  // namespace distill::storage
