// What Pillow's ImageOps, ImageEnhance and affine Image.transform do to an image, for RandAugment
// and colour jitter. Same results as Pillow's, but for transformations, which may differ by one
// level where float and double round apart. Grey images stay grey.
#pragma once

#include <array>
#include <cstdint>

#include "worker/data/bitmap.h"

namespace distill::data {

// Colour that moves in from outside.
constexpr std::array<uint8_t, 4> kFillColor = {124, 116, 104, 255};

// Stretches each channel to 0 to 255.
void AutoContrast(Bitmap* image);
// Spreads each channel's values evenly.
void Equalize(Bitmap* image);
void Invert(Bitmap* image);
// Keeps the upper `bits` of each value; 0 to 8.
void Posterize(int bits, Bitmap* image);
// Inverts values of at least `threshold`.
void Solarize(int threshold, Bitmap* image);
// Adds to values below 128, up to 255.
void SolarizeAdd(int added, Bitmap* image);

// Moves each pixel from a plain image (factor 0) by way of the image itself (factor 1) to beyond.
// Requires factor >= 0. Plain is grey...
void ChangeColor(float factor, Bitmap* image);
// ...the mean brightness...
void ChangeContrast(float factor, Bitmap* image);
// ...black...
void ChangeBrightness(float factor, Bitmap* image);
// ...and smoothed.
void ChangeSharpness(float factor, Bitmap* image, Bitmap* scratch);

// Shows at (x, y) what is at (a x + b y + c, d x + e y + f), pixel centres lying at halves; bicubic
// (a = -1), kFillColor outside.
struct AffineMap {
  double a = 1, b = 0, c = 0;
  double d = 0, e = 1, f = 0;
};
void Transform(const AffineMap& map, Bitmap* image, Bitmap* scratch);
// The map of Pillow's Image.rotate: counter-clockwise around the middle.
AffineMap Rotation(double degrees, const ImageSize& size);

}  // namespace distill::data
