// Decides which part of an image a model is shown: at random in training, the middle in evaluation.
#pragma once

#include "base/counter_random.h"
#include "worker/data/bitmap.h"
#include "worker/data/resize.h"

namespace distill::data {

// A box of `least_share` to all of the image's area with an aspect ratio of 3/4 to 4/3
// (log-uniform), in ten tries; after that, the largest box in the middle with such a ratio
// (torchvision's RandomResizedCrop). Requires 0 < least_share <= 1.
Box DrawResizedCrop(const ImageSize& image, double least_share, CounterRandom& random);

// What evaluation shows of an image: its shorter side is resized to `resized_side`, and a square of
// `side` is cut from the middle (torchvision's Resize and CenterCrop). Requires
// resized_side >= side > 0.
ResizeRequest CenterCrop(const ImageSize& image, int resized_side, int side);

// The size to which the shorter side is resized for a square of `side`: 256/224 of it, rounded
// down; up to kLargestUncroppedSide `side` itself.
int ResizedSide(int side);

}  // namespace distill::data
