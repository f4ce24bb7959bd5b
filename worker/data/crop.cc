#include "worker/data/crop.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "worker/data/square_dataset.h"

namespace distill::data {
namespace {

constexpr int kTries = 10;
constexpr double kLeastAspect = 3.0 / 4.0;
constexpr double kMostAspect = 4.0 / 3.0;

int Round(double value) { return static_cast<int>(std::lrint(value)); }

}  // namespace

Box DrawResizedCrop(const ImageSize& image, double least_share, CounterRandom& random) {
  const double area = static_cast<double>(image.pixels());
  for (int attempt = 0; attempt < kTries; ++attempt) {
    const double wanted = area * random.Uniform(least_share, 1.0);
    const double aspect = std::exp(random.Uniform(std::log(kLeastAspect), std::log(kMostAspect)));
    const int width = Round(std::sqrt(wanted * aspect));
    const int height = Round(std::sqrt(wanted / aspect));
    if (width < 1 || height < 1 || width > image.width || height > image.height) continue;
    const int top =
        static_cast<int>(random.Below(static_cast<uint32_t>(image.height - height + 1)));
    const int left = static_cast<int>(random.Below(static_cast<uint32_t>(image.width - width + 1)));
    return {left, top, width, height};
  }
  const double aspect = static_cast<double>(image.width) / image.height;
  Box box = {0, 0, image.width, image.height};
  if (aspect < kLeastAspect) box.height = std::min(Round(image.width / kLeastAspect), image.height);
  if (aspect > kMostAspect) box.width = std::min(Round(image.height * kMostAspect), image.width);
  box.top = (image.height - box.height) / 2;
  box.left = (image.width - box.width) / 2;
  return box;
}

ResizeRequest CenterCrop(const ImageSize& image, int resized_side, int side) {
  DISTILL_CHECK(side > 0 && resized_side >= side, "the square lies inside the resized image");
  const int64_t shorter = std::min(image.height, image.width);
  const auto resized = [&](int length) {
    return static_cast<int>(int64_t{resized_side} * length / shorter);
  };
  ResizeRequest request;
  request.size = {resized(image.height), resized(image.width)};
  request.window = {Round((request.size.width - side) / 2.0),
                    Round((request.size.height - side) / 2.0), side, side};
  return request;
}

int ResizedSide(int side) {
  return side <= kLargestUncroppedSide ? side : static_cast<int>(256.0 / 224.0 * side);
}

}  // namespace distill::data
