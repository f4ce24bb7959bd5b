#include "worker/data/rand_augment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/worker/data/image_fixtures.h"
#include "worker/data/color_operations.h"

namespace distill::data {
namespace {

std::string Pixels(const Bitmap& image) {
  return std::string(image.data(), image.data() + image.bytes());
}

std::string Augmented(const BitmapTransform& transform, uint64_t seed, const Bitmap& picture) {
  Bitmap image = picture;
  Bitmap scratch;
  CounterRandom random(seed);
  transform.Apply(random, &image, &scratch);
  return Pixels(image);
}

TEST(RandAugmentTest, IsAFunctionOfTheRandomStream) {
  const auto transform = RandAugment({2, 9.0, 0.5});
  const Bitmap picture = MakePicture(30, 40, 1);
  int unchanged = 0;
  constexpr int kDraws = 400;
  for (uint64_t seed = 0; seed < kDraws; ++seed) {
    const std::string once = Augmented(*transform, seed, picture);
    EXPECT_EQ(once, Augmented(*transform, seed, picture));
    unchanged += once == Pixels(picture) ? 1 : 0;
  }
  // Two operations, each left out half of the time; some of those done change nothing.
  EXPECT_NEAR(unchanged / static_cast<double>(kDraws), 0.25, 0.08);
}

TEST(RandAugmentTest, MagnitudeZeroLeavesWhatCanBeLeft) {
  const Bitmap picture = MakePicture(30, 40, 1);
  Bitmap scratch;
  for (const auto operation :
       {AugmentOperation::kRotate, AugmentOperation::kColor, AugmentOperation::kContrast,
        AugmentOperation::kBrightness, AugmentOperation::kSharpness, AugmentOperation::kShearX,
        AugmentOperation::kShearY, AugmentOperation::kTranslateX, AugmentOperation::kTranslateY,
        AugmentOperation::kSolarize, AugmentOperation::kSolarizeAdd}) {
    Bitmap image = picture;
    Augment(operation, 0.0, false, &image, &scratch);
    EXPECT_EQ(Pixels(image), Pixels(picture)) << static_cast<int>(operation);
  }
}

TEST(RandAugmentTest, WholeShiftsMovePixelsAndFillWithGrey) {
  Bitmap image = MakePicture(10, 20, 1);
  const Bitmap before = image;
  Bitmap scratch;
  Transform({1, 0, 3, 0, 1, 0}, &image, &scratch);
  EXPECT_EQ(image.Row(4)[0], before.Row(4)[12]);
  EXPECT_EQ(image.Row(4)[4 * 17], kFillColor[0]);
  EXPECT_EQ(image.Row(4)[4 * 19 + 2], kFillColor[2]);
}

TEST(RandAugmentTest, ImagesOfOnePixelSurviveEverything) {
  for (int operation = 0; operation < kAugmentOperations; ++operation) {
    Bitmap image = MakePicture(1, 1, 2);
    Bitmap scratch;
    Augment(static_cast<AugmentOperation>(operation), 10.0, true, &image, &scratch);
    EXPECT_EQ(image.bytes(), 4U);
  }
}

TEST(RandAugmentTest, GreyImagesStayGrey) {
  Bitmap grey = MakePicture(16, 16, 4);
  for (size_t i = 0; i < grey.bytes(); i += 4)
    grey.data()[i + 1] = grey.data()[i + 2] = grey.data()[i];
  for (int operation = 0; operation < kAugmentOperations; ++operation) {
    const auto kind = static_cast<AugmentOperation>(operation);
    if (kind == AugmentOperation::kRotate || kind >= AugmentOperation::kShearX) continue;  // Fill.
    Bitmap image = grey;
    Bitmap scratch;
    Augment(kind, 7.0, false, &image, &scratch);
    for (size_t i = 0; i < image.bytes(); i += 4) {
      ASSERT_EQ(image.data()[i], image.data()[i + 1]) << operation;
      ASSERT_EQ(image.data()[i], image.data()[i + 2]) << operation;
    }
  }
}

TEST(ColorJitterTest, ChangesColoursWithinReach) {
  const Bitmap picture = MakePicture(20, 20, 1);
  const auto none = ColorJitter(0.0);
  EXPECT_EQ(Augmented(*none, 3, picture), Pixels(picture));
  const auto some = ColorJitter(0.4);
  EXPECT_NE(Augmented(*some, 3, picture), Augmented(*some, 4, picture));
}

}  // namespace
}  // namespace distill::data
