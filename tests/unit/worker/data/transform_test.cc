#include "worker/data/transform.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "tests/support/status_matchers.h"

namespace distill::data {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;
using ::testing::HasSubstr;

constexpr ImageShape kShape{1, 4, 5};

std::vector<uint8_t> Ramp(const ImageShape& shape) {
  std::vector<uint8_t> pixels(static_cast<size_t>(shape.pixels()));
  std::iota(pixels.begin(), pixels.end(), uint8_t{1});
  return pixels;
}

std::vector<float> Transformed(const TransformConfig& config, const ImageShape& shape,
                               uint64_t key) {
  const TransformPipeline pipeline = TransformPipeline::Create(shape, config).value();
  std::vector<uint8_t> pixels = Ramp(shape);
  TransformPipeline::Workspace workspace;
  std::vector<float> values(pixels.size());
  pipeline.Apply(CounterRandom(key), absl::MakeSpan(pixels), &workspace, absl::MakeSpan(values));
  return values;
}

TEST(TransformTest, NormalisesEachChannel) {
  TransformConfig config;
  config.mean = {0.0, 0.5};
  config.deviation = {1.0, 0.25};
  const std::vector<float> values = Transformed(config, {2, 1, 2}, 0);
  EXPECT_THAT(values,
              ElementsAre(FloatEq(1 / 255.0F), FloatEq(2 / 255.0F), FloatEq((3 / 255.0F - .5F) * 4),
                          FloatEq((4 / 255.0F - .5F) * 4)));
}

TEST(TransformTest, CertainFlipMirrorsRows) {
  TransformConfig config;
  config.flip_probability = 1.0;
  const std::vector<float> values = Transformed(config, {1, 2, 2}, 0);
  EXPECT_THAT(values, ElementsAre(FloatEq(2 / 255.0F), FloatEq(1 / 255.0F), FloatEq(4 / 255.0F),
                                  FloatEq(3 / 255.0F)));
}

// Each result must be the padded image seen through one of the 25 windows, and all must occur.
TEST(TransformTest, CropReachesEveryWindowOfThePaddedImage) {
  TransformConfig config;
  config.crop_padding = 2;
  std::set<std::pair<int, int>> windows;
  for (uint64_t key = 0; key < 400; ++key) {
    const std::vector<float> values = Transformed(config, kShape, key);
    int matches = 0;
    for (int dy = -2; dy <= 2; ++dy) {
      for (int dx = -2; dx <= 2; ++dx) {
        bool same = true;
        for (int y = 0; y < kShape.height; ++y) {
          for (int x = 0; x < kShape.width; ++x) {
            const int from_y = y - dy;
            const int from_x = x - dx;
            const bool inside =
                from_y >= 0 && from_y < kShape.height && from_x >= 0 && from_x < kShape.width;
            const int want = inside ? 1 + from_y * kShape.width + from_x : 0;
            const float got = values[static_cast<size_t>(y * kShape.width + x)] * 255.0F;
            same = same && std::lround(got) == want;
          }
        }
        if (same) {
          ++matches;
          windows.emplace(dy, dx);
        }
      }
    }
    ASSERT_EQ(matches, 1);
  }
  EXPECT_EQ(windows.size(), 25U);
}

TEST(TransformTest, ShiftMovesByAtMostTheFraction) {
  TransformConfig config;
  config.shift_fraction = 0.25;  // One pixel of 4 or 5.
  std::set<long> corners;
  for (uint64_t key = 0; key < 100; ++key) {
    corners.insert(std::lround(Transformed(config, kShape, key)[7] * 255.0F));
  }
  EXPECT_THAT(corners, ElementsAre(2, 3, 4, 7, 8, 9, 12, 13, 14));
}

TEST(TransformTest, ErasingFillsOneRectangleOfLimitedArea) {
  TransformConfig config;
  config.erase_probability = 1.0;
  const ImageShape shape{1, 15, 16};
  for (uint64_t key = 0; key < 50; ++key) {
    const std::vector<float> values = Transformed(config, shape, key);
    const std::vector<float> plain = Transformed({}, shape, key);
    int changed = 0;
    for (size_t i = 0; i < values.size(); ++i) changed += values[i] != plain[i] ? 1 : 0;
    EXPECT_GE(changed, 1);
    EXPECT_LE(changed, 96);  // 33 % of 240, and rounding of the sides.
  }
}

// Adding a step must not change what the others draw.
TEST(TransformTest, StepsDrawIndependently) {
  TransformConfig crop;
  crop.crop_padding = 2;
  TransformConfig both = crop;
  both.erase_probability = 1e-12;
  for (uint64_t key = 0; key < 20; ++key) {
    EXPECT_EQ(Transformed(crop, kShape, key), Transformed(both, kShape, key));
  }
}

TEST(TransformTest, NamesTheFieldThatIsOutOfRange) {
  const auto message = [](auto change) {
    TransformConfig config;
    change(config);
    return TransformPipeline::Create(kShape, config).status();
  };
  const auto refuses = [](const char* field) {
    return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(field));
  };
  EXPECT_THAT(message([](auto& c) { c.crop_padding = 5; }), refuses("transform.crop_padding"));
  EXPECT_THAT(message([](auto& c) { c.flip_probability = 1.5; }), refuses("flip_probability"));
  EXPECT_THAT(message([](auto& c) { c.shift_fraction = NAN; }), refuses("shift_fraction"));
  EXPECT_THAT(message([](auto& c) { c.erase_probability = -1; }), refuses("erase_probability"));
  EXPECT_THAT(message([](auto& c) { c.mean = {0.0}; }), refuses("one entry per channel"));
  EXPECT_THAT(message([](auto& c) {
                c.mean = {0.0};
                c.deviation = {0.0};
              }),
              refuses("transform.deviation"));
}

}  // namespace
}  // namespace distill::data
