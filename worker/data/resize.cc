#include "worker/data/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "worker/data/instruction_sets.h"

namespace distill::data {
namespace {

constexpr int kFractionBits = 22;
constexpr double kCubicA = -0.5;
constexpr double kCubicSupport = 2.0;

double Cubic(double x) {
  x = std::abs(x);
  if (x < 1.0) return ((kCubicA + 2.0) * x - (kCubicA + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * kCubicA;
  return 0.0;
}

inline uint8_t ToByte(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

// One output row from the rows of `in` that its taps name.
DISTILL_VECTORISED(void, AddRows,
                   (const uint8_t* in, size_t row_bytes, const int32_t* weights, int taps,
                    size_t bytes, uint8_t* out),
                   (in, row_bytes, weights, taps, bytes, out), {
                     constexpr size_t kBlock = 64;
                     int32_t sums[kBlock];
                     for (size_t start = 0; start < bytes; start += kBlock) {
                       const size_t count = std::min(kBlock, bytes - start);
                       for (size_t i = 0; i < kBlock; ++i) sums[i] = 1 << (kFractionBits - 1);
                       for (int t = 0; t < taps; ++t) {
                         const uint8_t* row = in + static_cast<size_t>(t) * row_bytes + start;
                         const int32_t weight = weights[t];
                         if (count == kBlock) {
                           for (size_t i = 0; i < kBlock; ++i) sums[i] += row[i] * weight;
                         } else {
                           for (size_t i = 0; i < count; ++i) sums[i] += row[i] * weight;
                         }
                       }
                       for (size_t i = 0; i < count; ++i) out[start + i] = ToByte(sums[i]);
                     }
                   })

// All pixels of one output row, each from the pixels that its taps name.
DISTILL_VECTORISED(void, AddColumns,
                   (const uint8_t* in, const int* first, const int* taps, const int32_t* weights,
                    int most_taps, int width, uint8_t* out),
                   (in, first, taps, weights, most_taps, width, out), {
                     for (int x = 0; x < width; ++x) {
                       const uint8_t* pixel =
                           in + static_cast<size_t>(first[x]) * kBitmapBytesPerPixel;
                       const int32_t* weight =
                           weights + static_cast<size_t>(x) * static_cast<size_t>(most_taps);
                       int32_t sums[4] = {1 << (kFractionBits - 1), 1 << (kFractionBits - 1),
                                          1 << (kFractionBits - 1), 1 << (kFractionBits - 1)};
                       for (int t = 0; t < taps[x]; ++t) {
                         for (int c = 0; c < 4; ++c) sums[c] += pixel[4 * t + c] * weight[t];
                       }
                       for (int c = 0; c < 4; ++c) out[4 * x + c] = ToByte(sums[c]);
                     }
                   })

}  // namespace

void Resizer::Plan(double from, double to, int input_size, int output_size, int window_first,
                   int window_size, Axis* axis) {
  // As Pillow's precompute_coeffs, computed in double.
  const double scale = (to - from) / output_size;
  const double filter_scale = std::max(scale, 1.0);
  const double support = kCubicSupport * filter_scale;
  const double step = 1.0 / filter_scale;
  axis->is_identity = from == 0.0 && to == input_size && output_size == input_size;
  axis->most_taps = static_cast<int>(std::ceil(support)) * 2 + 1;
  axis->first.resize(static_cast<size_t>(window_size));
  axis->taps.resize(static_cast<size_t>(window_size));
  axis->weights.assign(static_cast<size_t>(window_size) * static_cast<size_t>(axis->most_taps), 0);
  std::vector<double> weights(static_cast<size_t>(axis->most_taps));
  for (int i = 0; i < window_size; ++i) {
    const double center = from + (i + window_first + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(center - support + 0.5));
    const int taps = std::min(input_size, static_cast<int>(center + support + 0.5)) - first;
    double sum = 0.0;
    for (int t = 0; t < taps; ++t) {
      weights[static_cast<size_t>(t)] = Cubic((t + first - center + 0.5) * step);
      sum += weights[static_cast<size_t>(t)];
    }
    int32_t* out =
        axis->weights.data() + static_cast<size_t>(i) * static_cast<size_t>(axis->most_taps);
    for (int t = 0; t < taps; ++t) {
      const double weight = weights[static_cast<size_t>(t)] / (sum != 0.0 ? sum : 1.0);
      const double fixed = weight * (1 << kFractionBits);
      out[t] = static_cast<int32_t>(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
    }
    axis->first[static_cast<size_t>(i)] = first;
    axis->taps[static_cast<size_t>(i)] = taps;
  }
}

void Resizer::Resize(const DecodedBox& from, const ResizeRequest& request, Bitmap* to) {
  const Box& window = request.window;
  Plan(from.left, from.right, from.pixels.width, request.size.width, window.left, window.width,
       &across_);
  Plan(from.top, from.bottom, from.pixels.height, request.size.height, window.top, window.height,
       &down_);
  // Only the input rows that the second pass will read.
  int first_row = down_.first.front();
  int end_row = down_.first.back() + down_.taps.back();
  if (down_.is_identity) {
    first_row = window.top;
    end_row = window.top + window.height;
  }
  narrow_.Reshape(end_row - first_row, window.width);
  for (int y = first_row; y < end_row; ++y) {
    uint8_t* row = narrow_.Row(y - first_row);
    if (across_.is_identity) {
      std::memcpy(row, from.pixels.At(y, window.left), narrow_.row_bytes());
    } else {
      AddColumns(from.pixels.Row(y), across_.first.data(), across_.taps.data(),
                 across_.weights.data(), across_.most_taps, window.width, row);
    }
  }
  if (down_.is_identity) {
    to->Swap(narrow_);
    return;
  }
  to->Reshape(window.height, window.width);
  for (int y = 0; y < window.height; ++y) {
    const size_t row = static_cast<size_t>(y);
    AddRows(narrow_.Row(down_.first[row] - first_row), narrow_.row_bytes(),
            down_.weights.data() + row * static_cast<size_t>(down_.most_taps), down_.taps[row],
            narrow_.row_bytes(), to->Row(y));
  }
}

}  // namespace distill::data
