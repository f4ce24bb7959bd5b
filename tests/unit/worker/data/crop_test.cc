#include "worker/data/crop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace distill::data {
namespace {

TEST(CropTest, DrawsBoxesOfTheSharesAndAspectsAskedFor) {
  const ImageSize image = {375, 500};
  double smallest = 1.0;
  double largest = 0.0;
  double sum = 0.0;
  constexpr int kDraws = 4000;
  for (uint64_t i = 0; i < kDraws; ++i) {
    CounterRandom random = CounterRandom(7).Stream(i);
    const Box box = DrawResizedCrop(image, 0.08, random);
    ASSERT_GE(box.left, 0);
    ASSERT_GE(box.top, 0);
    ASSERT_LE(box.left + box.width, image.width);
    ASSERT_LE(box.top + box.height, image.height);
    const double share = static_cast<double>(box.width) * box.height / 375 / 500;
    const double aspect = static_cast<double>(box.width) / box.height;
    EXPECT_GE(aspect, 0.74);
    EXPECT_LE(aspect, 1.35);
    smallest = std::min(smallest, share);
    largest = std::max(largest, share);
    sum += share;
  }
  EXPECT_LT(smallest, 0.09);
  EXPECT_GT(smallest, 0.075);
  EXPECT_GT(largest, 0.9);
  // As many draws of torchvision have: large boxes often do not fit.
  EXPECT_NEAR(sum / kDraws, 0.435, 0.015);
}

TEST(CropTest, FallsBackToTheMiddleOfImagesThatNoBoxFits) {
  CounterRandom random(1);
  EXPECT_EQ(DrawResizedCrop({10, 1000}, 1.0, random), (Box{493, 0, 13, 10}));
  EXPECT_EQ(DrawResizedCrop({1000, 9}, 1.0, random), (Box{0, 494, 9, 12}));
}

TEST(CropTest, ATinyImageIsTakenWhole) {
  CounterRandom random(1);
  EXPECT_EQ(DrawResizedCrop({1, 1}, 0.9, random), (Box{0, 0, 1, 1}));
}

TEST(CropTest, EvaluationResizesTheShorterSide) {
  EXPECT_EQ(ResizedSide(224), 256);
  EXPECT_EQ(ResizedSide(64), 73);
  EXPECT_EQ(ResizedSide(32), 32);
  const ResizeRequest wide = CenterCrop({375, 500}, 256, 224);
  EXPECT_EQ(wide.size, (ImageSize{256, 341}));
  EXPECT_EQ(wide.window, (Box{58, 16, 224, 224}));  // 58.5 rounds to even, as in Python.
  const ResizeRequest square = CenterCrop({64, 64}, 73, 64);
  EXPECT_EQ(square.size, (ImageSize{73, 73}));
  EXPECT_EQ(square.window, (Box{4, 4, 64, 64}));
}

}  // namespace
}  // namespace distill::data
