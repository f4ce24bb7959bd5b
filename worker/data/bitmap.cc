#include "worker/data/bitmap.h"

#include <cstring>

#include "base/check.h"

namespace distill::data {

void JoinPlanes(absl::Span<const uint8_t> planes, int channels, const ImageSize& size,
                const Box& box, Bitmap* bitmap) {
  DISTILL_CHECK(channels == 1 || channels == 3, "callers refuse other numbers of channels");
  bitmap->Reshape(box.height, box.width);
  const size_t plane = static_cast<size_t>(size.pixels());
  for (int y = 0; y < box.height; ++y) {
    const size_t start = static_cast<size_t>(y + box.top) * static_cast<size_t>(size.width) +
                         static_cast<size_t>(box.left);
    const uint8_t* red = planes.data() + start;
    const uint8_t* green = channels == 3 ? red + plane : red;
    const uint8_t* blue = channels == 3 ? green + plane : red;
    uint8_t* to = bitmap->Row(y);
    for (int x = 0; x < box.width; ++x) {
      to[4 * x] = red[x];
      to[4 * x + 1] = green[x];
      to[4 * x + 2] = blue[x];
      to[4 * x + 3] = 255;
    }
  }
}

void SplitPlanes(const BitmapView& bitmap, int channels, absl::Span<uint8_t> planes) {
  DISTILL_CHECK(channels == 1 || channels == 3, "callers refuse other numbers of channels");
  uint8_t* to = planes.data();
  for (int c = 0; c < channels; ++c) {
    for (int y = 0; y < bitmap.height; ++y) {
      const uint8_t* from = bitmap.Row(y) + c;
      for (int x = 0; x < bitmap.width; ++x) to[x] = from[kBitmapBytesPerPixel * x];
      to += bitmap.width;
    }
  }
}

void Mirror(Bitmap* bitmap) {
  for (int y = 0; y < bitmap->height(); ++y) {
    uint8_t* left = bitmap->Row(y);
    uint8_t* right = left + bitmap->row_bytes() - kBitmapBytesPerPixel;
    for (; left < right; left += kBitmapBytesPerPixel, right -= kBitmapBytesPerPixel) {
      uint32_t pixel = 0;
      std::memcpy(&pixel, left, sizeof(pixel));
      std::memcpy(left, right, sizeof(pixel));
      std::memcpy(right, &pixel, sizeof(pixel));
    }
  }
}

}  // namespace distill::data
