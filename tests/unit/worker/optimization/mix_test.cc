// Mixup and CutMix: moments of what is drawn, and what is done with it.
#include "worker/optimization/mix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

namespace distill::optimization {
namespace {

TEST(DrawMixTest, MixupSharesHaveTheMomentsOfBeta) {
  MixConfig config;
  config.cutmix_alpha = 0.0;
  constexpr int kDraws = 20000;
  double sum = 0.0, squares = 0.0;
  for (uint64_t i = 0; i < kDraws; ++i) {
    const MixDraw draw = DrawMix(config, 28, 28, CounterRandom(1).Stream(i));
    ASSERT_EQ(draw.kind, MixKind::kMixup);
    sum += draw.own_share;
    squares += draw.own_share * draw.own_share;
  }
  const double mean = sum / kDraws, variance = squares / kDraws - mean * mean;
  EXPECT_NEAR(mean, 0.5, 0.01);
  EXPECT_NEAR(variance, 1.0 / (4.0 * (2.0 * 0.8 + 1.0)), 0.003);  // of Beta(0.8, 0.8)
}

TEST(DrawMixTest, ProbabilitiesOfTheKinds) {
  MixConfig config;
  config.probability = 0.6;
  config.switch_probability = 0.25;
  constexpr int kDraws = 20000;
  int mixup = 0, cutmix = 0;
  for (uint64_t i = 0; i < kDraws; ++i) {
    const MixDraw draw = DrawMix(config, 28, 28, CounterRandom(2).Stream(i));
    mixup += draw.kind == MixKind::kMixup;
    cutmix += draw.kind == MixKind::kCutMix;
  }
  EXPECT_NEAR(mixup / static_cast<double>(kDraws), 0.45, 0.015);
  EXPECT_NEAR(cutmix / static_cast<double>(kDraws), 0.15, 0.015);
}

TEST(DrawMixTest, SharesOfCutMixAreTheBoxesAreas) {
  MixConfig config;
  config.mixup_alpha = 0.0;
  for (uint64_t i = 0; i < 200; ++i) {
    const MixDraw draw = DrawMix(config, 20, 30, CounterRandom(3).Stream(i));
    const int64_t area = (draw.box.bottom - draw.box.top) * (draw.box.right - draw.box.left);
    EXPECT_NEAR(draw.own_share, 1.0 - static_cast<double>(area) / 600.0, 1e-12);
    EXPECT_TRUE(0 <= draw.box.top && draw.box.bottom <= 20);
    EXPECT_TRUE(0 <= draw.box.left && draw.box.right <= 30);
  }
}

TEST(DrawMixTest, OffWhenBothAlphasAreZero) {
  MixConfig config;
  config.mixup_alpha = 0.0;
  config.cutmix_alpha = 0.0;
  EXPECT_EQ(DrawMix(config, 8, 8, CounterRandom(1)).kind, MixKind::kNone);
}

TEST(MixImagesTest, MixupBlendsWithTheMirror) {
  const torch::Tensor images = torch::tensor({1.0f, 2.0f, 4.0f, 8.0f}).view({4, 1, 1, 1});
  const torch::Tensor mixed = MixImages(images, {MixKind::kMixup, 0.75, {}});
  EXPECT_TRUE(torch::allclose(mixed.flatten(), torch::tensor({2.75f, 2.5f, 3.5f, 6.25f})));
}

TEST(MixImagesTest, CutMixPastesTheMirrorsBox) {
  const torch::Tensor images = torch::cat({torch::zeros({1, 1, 4, 4}), torch::ones({1, 1, 4, 4})});
  const torch::Tensor mixed = MixImages(images, {MixKind::kCutMix, 0.75, {1, 3, 0, 2}});
  EXPECT_EQ(mixed[0].sum().item<float>(), 4.0f);
  EXPECT_EQ(mixed[0][0][1][0].item<float>(), 1.0f);
  EXPECT_EQ(mixed[1].sum().item<float>(), 12.0f);
  EXPECT_EQ(images[0].sum().item<float>(), 0.0f);  // the input is left as it was
}

TEST(MixTargetsTest, RowsSumToOne) {
  const torch::Tensor targets = MixTargets(torch::tensor({0, 3, 3, 1}, torch::kLong), 5, 0.1, 0.35);
  EXPECT_TRUE(torch::allclose(targets.sum(1), torch::ones({4})));
}

// What a rank of a gang does with its part of a batch.
TEST(MixImagesTest, PartsAreThoseOfTheWholeBatch) {
  const torch::Tensor images = torch::arange(6 * 16, torch::kFloat).view({6, 1, 4, 4});
  const torch::Tensor labels = torch::tensor({0, 3, 2, 1, 4, 0}, torch::kLong);
  const MixDraw draw = {MixKind::kCutMix, 0.75, {1, 3, 0, 2}};
  const torch::Tensor whole = MixImages(images, draw);
  const torch::Tensor targets = MixTargets(labels, 5, 0.1, 0.75);
  for (const int64_t part : {0, 1, 2}) {
    const int64_t own = 2 * part, opposite = 4 - own;
    EXPECT_TRUE(
        torch::equal(MixImagesWith(images.narrow(0, own, 2), images.narrow(0, opposite, 2), draw),
                     whole.narrow(0, own, 2)));
    EXPECT_TRUE(torch::equal(
        MixTargetsWith(labels.narrow(0, own, 2), labels.narrow(0, opposite, 2), 5, 0.1, 0.75),
        targets.narrow(0, own, 2)));
  }
}

}  // namespace
}  // namespace distill::optimization
