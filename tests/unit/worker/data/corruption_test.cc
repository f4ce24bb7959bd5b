#include "worker/data/corruption.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/digest.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/worker/data/test_images.h"
#include "worker/data/idx_reader.h"
#include "worker/data/subset.h"

namespace distill::data {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

constexpr ImageShape kShape{1, 28, 28};

std::vector<uint8_t> Corrupted(CorruptionKind kind, int severity, std::vector<uint8_t> pixels,
                               const ImageShape& shape = kShape, uint64_t key = 1) {
  CounterRandom random(key);
  Corrupt(kind, severity, shape, random, absl::MakeSpan(pixels));
  return pixels;
}

std::vector<uint8_t> Flat(uint8_t value) { return std::vector<uint8_t>(28 * 28, value); }

double Mean(const std::vector<uint8_t>& pixels) {
  double sum = 0.0;
  for (const uint8_t pixel : pixels) sum += pixel;
  return sum / static_cast<double>(pixels.size());
}

double Deviation(const std::vector<uint8_t>& pixels) {
  const double mean = Mean(pixels);
  double sum = 0.0;
  for (const uint8_t pixel : pixels) sum += (pixel - mean) * (pixel - mean);
  return std::sqrt(sum / static_cast<double>(pixels.size()));
}

TEST(CorruptionTest, EveryKindHasANameThatIsRead) {
  std::set<absl::string_view> families;
  for (const CorruptionKind kind : AllCorruptions()) {
    EXPECT_THAT(ParseCorruption(CorruptionName(kind)), IsOkAndHolds(kind));
    families.insert(CorruptionFamily(kind));
  }
  EXPECT_EQ(AllCorruptions().size(), 9U);
  EXPECT_THAT(families, testing::ElementsAre("blur", "contrast", "noise", "occlusion"));
  EXPECT_THAT(ParseCorruption("fog").status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("shot_noise, impulse_noise")));
}

TEST(CorruptionTest, GaussianNoiseHasTheDeviationOfTheTable) {
  EXPECT_NEAR(Deviation(Corrupted(CorruptionKind::kGaussianNoise, 1, Flat(128))), 0.08 * 255, 1.5);
  EXPECT_NEAR(Mean(Corrupted(CorruptionKind::kGaussianNoise, 1, Flat(128))), 128, 2.5);
}

// A Poisson variable of n events has the deviation sqrt(n), in units of 1/n of the mean.
TEST(CorruptionTest, ShotNoiseIsPoisson) {
  const std::vector<uint8_t> noisy = Corrupted(CorruptionKind::kShotNoise, 1, Flat(102));
  EXPECT_NEAR(Mean(noisy), 102, 2.5);
  EXPECT_NEAR(Deviation(noisy), std::sqrt(0.4 * 60) / 60 * 255, 2.0);
  EXPECT_THAT(Corrupted(CorruptionKind::kShotNoise, 5, Flat(0)), Each(0));
}

TEST(CorruptionTest, ImpulseNoiseHitsTheShareOfTheTable) {
  const std::vector<uint8_t> noisy = Corrupted(CorruptionKind::kImpulseNoise, 5, Flat(100));
  const double black = static_cast<double>(std::count(noisy.begin(), noisy.end(), 0)) / 784;
  const double white = static_cast<double>(std::count(noisy.begin(), noisy.end(), 255)) / 784;
  EXPECT_NEAR(black, 0.135, 0.04);
  EXPECT_NEAR(white, 0.135, 0.04);
}

TEST(CorruptionTest, BlursKeepFlatImagesAndSpreadAPoint) {
  for (const CorruptionKind kind : {CorruptionKind::kGaussianBlur, CorruptionKind::kMotionBlur}) {
    SCOPED_TRACE(CorruptionName(kind));
    EXPECT_EQ(Corrupted(kind, 3, Flat(77)), Flat(77));
    std::vector<uint8_t> point = Flat(0);
    point[14 * 28 + 14] = 255;
    const std::vector<uint8_t> spread = Corrupted(kind, 3, point);
    EXPECT_LT(spread[14 * 28 + 14], 60);
    EXPECT_NEAR(Mean(spread) * 784, 255, 20);  // Light is kept, but for rounding.
  }
}

TEST(CorruptionTest, ContrastShrinksAroundTheMeanAndBrightnessAdds) {
  std::vector<uint8_t> halves = Flat(200);
  std::fill_n(halves.begin(), 392, uint8_t{100});
  const std::vector<uint8_t> faint = Corrupted(CorruptionKind::kContrast, 2, halves);
  EXPECT_EQ(faint.front(), 125);
  EXPECT_EQ(faint.back(), 175);
  const std::vector<uint8_t> bright = Corrupted(CorruptionKind::kBrightness, 3, halves);
  EXPECT_EQ(bright.front(), 177);
  EXPECT_EQ(bright.back(), 255);
}

TEST(CorruptionTest, OcclusionCoversASquareInside) {
  for (uint64_t key = 0; key < 50; ++key) {
    const std::vector<uint8_t> covered =
        Corrupted(CorruptionKind::kOcclusion, 2, Flat(7), kShape, key);
    EXPECT_EQ(std::count(covered.begin(), covered.end(), 128), 64);
  }
}

TEST(CorruptionTest, PixelateLeavesTheCellsOfTheTable) {
  std::vector<uint8_t> pixels(784);
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i % 28 * 9);
  const std::vector<uint8_t> coarse = Corrupted(CorruptionKind::kPixelate, 3, pixels);
  EXPECT_EQ(std::set<uint8_t>(coarse.begin(), coarse.end()).size(), 14U);
}

TEST(CorruptionTest, EveryKindChangesAnImageMoreWithSeverity) {
  IdxSource source;
  source.split = Split::kTest;
  auto fashion = ReadIdxDataset(source);
  ASSERT_THAT(fashion, IsOk());
  const std::shared_ptr<const Dataset> images =
      SubsetDataset::Create(*std::move(fashion), {SubsetRule::kFirst, 50, 0}).value();
  std::vector<uint8_t> before(784);
  std::vector<uint8_t> after(784);
  for (const CorruptionKind kind : AllCorruptions()) {
    double last = 0.0;
    for (int severity = 1; severity <= kMostSevere; ++severity) {
      const auto corrupted = CorruptedDataset::Create(images, {kind, severity, 3}).value();
      double change = 0.0;
      for (int64_t i = 0; i < images->size(); ++i) {
        ASSERT_THAT(images->Read(i, absl::MakeSpan(before)), IsOk());
        ASSERT_THAT(corrupted->Read(i, absl::MakeSpan(after)), IsOk());
        for (size_t p = 0; p < before.size(); ++p) change += std::abs(before[p] - after[p]);
      }
      EXPECT_GT(change, last) << CorruptionName(kind) << " severity " << severity;
      last = change;
    }
  }
}

TEST(CorruptionTest, BitsDependOnSeedSeverityAndImageOnly) {
  const std::shared_ptr<const Dataset> base = MakeDataset(4, 2, {3, 12, 10});
  const auto digest = [&](uint64_t seed, int severity) {
    return ContentDigest(
               *CorruptedDataset::Create(base, {CorruptionKind::kGaussianNoise, severity, seed})
                    .value())
        .value();
  };
  EXPECT_EQ(digest(1, 2), digest(1, 2));
  EXPECT_NE(digest(1, 2), digest(2, 2));
  EXPECT_NE(digest(1, 2), digest(1, 3));
}

// Accuracies under corruption are compared across versions, so the images may not change silently.
TEST(CorruptionTest, ImagesAreThoseOfEarlierVersions) {
  const std::shared_ptr<const Dataset> base = MakeDataset(8, 2, {1, 28, 28});
  std::string digests;
  for (const CorruptionKind kind : AllCorruptions()) {
    for (int severity = 1; severity <= kMostSevere; ++severity) {
      const auto corrupted = CorruptedDataset::Create(base, {kind, severity, 7}).value();
      digests += ContentDigest(*corrupted).value().str();
    }
  }
  EXPECT_EQ(Digest::OfBytes(digests).str(),
            "sha256:685d4bc9df08bcddd2e5b6644a5cea1824fc7d534cf3e56220e193eaf2900812");
}

TEST(CorruptionTest, WorksForAnyShape) {
  for (const ImageShape& shape :
       {ImageShape{1, 1, 1}, ImageShape{3, 5, 64}, ImageShape{2, 33, 2}}) {
    const auto base = MakeDataset(2, 2, shape);
    std::vector<uint8_t> pixels(static_cast<size_t>(shape.pixels()));
    ASSERT_THAT(base->Read(1, absl::MakeSpan(pixels)), IsOk());
    for (const CorruptionKind kind : AllCorruptions()) {
      for (int severity = 1; severity <= kMostSevere; ++severity) {
        EXPECT_EQ(Corrupted(kind, severity, pixels, shape).size(), pixels.size());
      }
    }
  }
}

TEST(CorruptionTest, RefusesOtherSeverities) {
  const std::shared_ptr<const Dataset> base = MakeDataset(4, 2, {1, 2, 2});
  for (const int severity : {0, 6}) {
    EXPECT_THAT(CorruptedDataset::Create(base, {CorruptionKind::kContrast, severity, 1}).status(),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("corruption.severity")));
  }
}

}  // namespace
}  // namespace distill::data
