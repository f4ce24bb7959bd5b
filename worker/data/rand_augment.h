// The random changes of colour and shape that the recipes use in training.
#pragma once

#include <memory>

#include "worker/data/bitmap_transform.h"
#include "worker/data/transform.h"

namespace distill::data {

// RandAugment as timm's "rand-m9-mstd0.5-inc1" (arXiv:1909.13719): each of `operations` times, one
// of 15 operations is drawn and done with probability 1/2, at a magnitude from normal(magnitude,
// magnitude_deviation) cut to [0, 10]. With m = magnitude / 10:
//
//   autocontrast, equalise, invert
//   rotate        by 30 m degrees, either way
//   posterise     to 4 - int(4 m) bits
//   solarise      values of at least 256 - int(256 m)
//   solarise-add  int(110 m) to values below 128
//   colour, contrast, brightness, sharpness   by 1 + 0.9 m or 1 - 0.9 m, at least 0.1
//   shear x, y    by 0.3 m, either way
//   translate x, y by 0.45 m of the image's size, either way
//
// Bicubic; kFillColor moves in (color_operations.h).
std::unique_ptr<BitmapTransform> RandAugment(const RandAugmentConfig& config);

// Brightness, contrast and saturation, in random order, each by a factor from [1 - reach, 1 +
// reach] (torchvision's ColorJitter).
std::unique_ptr<BitmapTransform> ColorJitter(double reach);

enum class AugmentOperation {
  kAutoContrast,
  kEqualize,
  kInvert,
  kRotate,
  kPosterize,
  kSolarize,
  kSolarizeAdd,
  kColor,
  kContrast,
  kBrightness,
  kSharpness,
  kShearX,
  kShearY,
  kTranslateX,
  kTranslateY,
};
constexpr int kAugmentOperations = 15;

// Does one operation at `magnitude` of [0, 10], in the negative direction where there is one if
// `is_negative`.
void Augment(AugmentOperation operation, double magnitude, bool is_negative, Bitmap* image,
             Bitmap* scratch);

}  // namespace distill::data
