// Resizes images as Pillow does (Image.resize with BICUBIC), to the bit: a cubic kernel (a = -1/2)
// that is widened when an image is made smaller, so that nothing aliases; across, then down,
// rounding to bytes in between, in fixed-point arithmetic. Hence also the same bits on every
// machine.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/data/bitmap.h"
#include "worker/data/image_decoder.h"

namespace distill::data {

// The pixels to make: `window` of the image that `from` would be at `size`.
struct ResizeRequest {
  ImageSize size;
  Box window;
};

// One thread at a time; keeps its memory from image to image.
class Resizer {
 public:
  // Writes the window to `*to`, of just its size.
  void Resize(const DecodedBox& from, const ResizeRequest& request, Bitmap* to);

 private:
  // How one output row or column is made of input ones: taps[i] of them from first[i] on.
  struct Axis {
    std::vector<int> first;
    std::vector<int> taps;
    int most_taps = 0;
    std::vector<int32_t> weights;  // [outputs, most_taps], 2^22 is one.
    bool is_identity = false;
  };

  static void Plan(double from, double to, int input_size, int output_size, int window_first,
                   int window_size, Axis* axis);

  Axis across_;
  Axis down_;
  Bitmap narrow_;  // Between the two passes.
  std::vector<double> unscaled_;
};

}  // namespace distill::data
