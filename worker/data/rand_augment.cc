#include "worker/data/rand_augment.h"

#include <algorithm>

#include "worker/data/color_operations.h"

namespace distill::data {
namespace {

constexpr double kMostMagnitude = 10.0;
constexpr double kApplied = 0.5;  // Probability of doing what was drawn.
constexpr double kMostDegrees = 30.0;
constexpr int kMostBitsLost = 4;
constexpr double kMostAdded = 110.0;
constexpr double kMostEnhanced = 0.9;
constexpr double kLeastFactor = 0.1;
constexpr double kMostShear = 0.3;
constexpr double kMostShift = 0.45;

class RandAugmentTransform : public BitmapTransform {
 public:
  explicit RandAugmentTransform(const RandAugmentConfig& config) : config_(config) {}
  absl::string_view name() const override { return "rand augment"; }

  void Apply(CounterRandom& random, Bitmap* image, Bitmap* scratch) const override {
    for (int i = 0; i < config_.operations; ++i) {
      const auto operation = static_cast<AugmentOperation>(random.Below(kAugmentOperations));
      const bool is_applied = random.Uniform() < kApplied;
      const double magnitude = config_.magnitude + config_.magnitude_deviation * random.Normal();
      const bool is_negative = random.Below(2) == 1;
      if (!is_applied) continue;
      Augment(operation, std::clamp(magnitude, 0.0, kMostMagnitude), is_negative, image, scratch);
    }
  }

 private:
  const RandAugmentConfig config_;
};

class ColorJitterTransform : public BitmapTransform {
 public:
  explicit ColorJitterTransform(double reach) : reach_(reach) {}
  absl::string_view name() const override { return "color jitter"; }

  void Apply(CounterRandom& random, Bitmap* image, Bitmap*) const override {
    const auto draw = [&] {
      return static_cast<float>(random.Uniform(std::max(0.0, 1.0 - reach_), 1.0 + reach_));
    };
    const float brightness = draw();
    const float contrast = draw();
    const float color = draw();
    for (const uint32_t change : random.Permutation(3)) {
      if (change == 0) ChangeBrightness(brightness, image);
      if (change == 1) ChangeContrast(contrast, image);
      if (change == 2) ChangeColor(color, image);
    }
  }

 private:
  const double reach_;
};

}  // namespace

std::unique_ptr<BitmapTransform> RandAugment(const RandAugmentConfig& config) {
  return std::make_unique<RandAugmentTransform>(config);
}

std::unique_ptr<BitmapTransform> ColorJitter(double reach) {
  return std::make_unique<ColorJitterTransform>(reach);
}

void Augment(AugmentOperation operation, double magnitude, bool is_negative, Bitmap* image,
             Bitmap* scratch) {
  const double share = magnitude / kMostMagnitude;
  const double signed_share = is_negative ? -share : share;
  const float factor =
      static_cast<float>(std::max(kLeastFactor, 1.0 + kMostEnhanced * signed_share));
  AffineMap map;
  switch (operation) {
    case AugmentOperation::kAutoContrast:
      return AutoContrast(image);
    case AugmentOperation::kEqualize:
      return Equalize(image);
    case AugmentOperation::kInvert:
      return Invert(image);
    case AugmentOperation::kRotate:
      map = Rotation(kMostDegrees * signed_share, {image->height(), image->width()});
      return Transform(map, image, scratch);
    case AugmentOperation::kPosterize:
      return Posterize(kMostBitsLost - static_cast<int>(kMostBitsLost * share), image);
    case AugmentOperation::kSolarize:
      return Solarize(256 - static_cast<int>(256 * share), image);
    case AugmentOperation::kSolarizeAdd:
      return SolarizeAdd(static_cast<int>(kMostAdded * share), image);
    case AugmentOperation::kColor:
      return ChangeColor(factor, image);
    case AugmentOperation::kContrast:
      return ChangeContrast(factor, image);
    case AugmentOperation::kBrightness:
      return ChangeBrightness(factor, image);
    case AugmentOperation::kSharpness:
      return ChangeSharpness(factor, image, scratch);
    case AugmentOperation::kShearX:
      map.b = kMostShear * signed_share;
      return Transform(map, image, scratch);
    case AugmentOperation::kShearY:
      map.d = kMostShear * signed_share;
      return Transform(map, image, scratch);
    case AugmentOperation::kTranslateX:
      map.c = kMostShift * signed_share * image->width();
      return Transform(map, image, scratch);
    case AugmentOperation::kTranslateY:
      map.f = kMostShift * signed_share * image->height();
      return Transform(map, image, scratch);
  }
}

}  // namespace distill::data
