#include "worker/data/color_operations.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "worker/data/instruction_sets.h"

namespace distill::data {
namespace {

using Table = std::array<uint8_t, 256>;
using Histogram = std::array<uint32_t, 256>;

constexpr double kPi = 3.14159265358979323846;

uint8_t ToByte(int value) { return static_cast<uint8_t>(std::clamp(value, 0, 255)); }

void Count(const Bitmap& image, std::array<Histogram, 3>* histograms) {
  // Two of each, taken in turn: equal neighbours would wait for each other's count.
  std::array<Histogram, 3> other{};
  for (Histogram& histogram : *histograms) histogram.fill(0);
  const uint8_t* pixel = image.data();
  const size_t bytes = image.bytes();
  size_t i = 0;
  for (; i + 8 <= bytes; i += 8) {
    for (size_t c = 0; c < 3; ++c) {
      ++(*histograms)[c][pixel[i + c]];
      ++other[c][pixel[i + 4 + c]];
    }
  }
  if (i < bytes) {
    for (size_t c = 0; c < 3; ++c) ++(*histograms)[c][pixel[i + c]];
  }
  for (size_t c = 0; c < 3; ++c) {
    for (size_t v = 0; v < 256; ++v) (*histograms)[c][v] += other[c][v];
  }
}

void LookUp(const std::array<Table, 3>& tables, Bitmap* image) {
  uint8_t* pixel = image->data();
  uint8_t* const end = pixel + image->bytes();
  for (; pixel != end; pixel += kBitmapBytesPerPixel) {
    for (size_t c = 0; c < 3; ++c) pixel[c] = tables[c][pixel[c]];
  }
}

void LookUp(const Table& table, Bitmap* image) { LookUp({table, table, table}, image); }

DISTILL_VECTORISED(void, InvertBytes, (uint8_t * bytes, size_t count), (bytes, count), {
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<uint8_t>(~bytes[i]);
})

// image <- plain + factor * (image - plain), as Pillow's blend rounds it. Bytes between 0 and 255
// are cut off after the point.
DISTILL_VECTORISED(void, BlendBytes,
                   (const uint8_t* plain, float factor, size_t count, uint8_t* image),
                   (plain, factor, count, image), {
                     for (size_t i = 0; i < count; ++i) {
                       const float from = plain[i];
                       const float value = from + factor * (static_cast<float>(image[i]) - from);
                       image[i] = static_cast<uint8_t>(
                           static_cast<int>(std::min(std::max(value, 0.0F), 255.0F)));
                     }
                   })

// Brightness as Pillow converts to "L".
DISTILL_VECTORISED(void, GreyOfRow, (const uint8_t* row, size_t width, uint8_t* grey),
                   (row, width, grey), {
                     for (size_t x = 0; x < width; ++x) {
                       const uint32_t sum =
                           row[4 * x] * 19595U + row[4 * x + 1] * 38470U + row[4 * x + 2] * 7471U;
                       const uint8_t value = static_cast<uint8_t>((sum + 0x8000U) >> 16);
                       for (size_t c = 0; c < 4; ++c) grey[4 * x + c] = value;
                     }
                   })

// (sum of the eight neighbours + 5 * the middle) / 13, rounded.
DISTILL_VECTORISED(void, SmoothRow,
                   (const uint8_t* above, const uint8_t* row, const uint8_t* below, size_t bytes,
                    uint8_t* out),
                   (above, row, below, bytes, out), {
                     for (size_t i = 4; i + 4 < bytes; ++i) {
                       const uint32_t sum = above[i - 4] + above[i] + above[i + 4] + row[i - 4] +
                                            5U * row[i] + row[i + 4] + below[i - 4] + below[i] +
                                            below[i + 4];
                       // (2 sum + 13) / 26 in fixed point, exact for all sums.
                       out[i] = static_cast<uint8_t>((sum * 2 + 13) * 10083U >> 18);
                     }
                   })

// One pixel between four rows of four; weights as Pillow's bicubic filter has them.
std::array<float, 4> CubicWeights(float t) {
  return {t * (-1 + t * (2 - t)), 1 + t * t * (t - 2), t * (1 + t * (1 - t)), t * t * (t - 1)};
}

// One output row, which starts at (start_x, start_y) of the source and moves by (dx, dy) a pixel.
DISTILL_VECTORISED(
    void, TransformRow,
    (const BitmapView& from, double start_x, double start_y, double dx, double dy, int width,
     uint8_t* out),
    (from, start_x, start_y, dx, dy, width, out), {
      for (int i = 0; i < width; ++i) {
        const double x = start_x + dx * i;
        const double y = start_y + dy * i;
        uint8_t* const pixel = out + kBitmapBytesPerPixel * i;
        if (!(x >= 0.0 && x < from.width && y >= 0.0 && y < from.height)) {
          std::memcpy(pixel, kFillColor.data(), kFillColor.size());
          continue;
        }
        const double left = std::floor(x - 0.5);
        const double top = std::floor(y - 0.5);
        const std::array<float, 4> across = CubicWeights(static_cast<float>(x - 0.5 - left));
        const std::array<float, 4> down = CubicWeights(static_cast<float>(y - 0.5 - top));
        int columns[4];
        for (int k = 0; k < 4; ++k) {
          columns[k] =
              kBitmapBytesPerPixel * std::clamp(static_cast<int>(left) - 1 + k, 0, from.width - 1);
        }
        float sums[4] = {0, 0, 0, 0};
        for (int r = 0; r < 4; ++r) {
          const uint8_t* row =
              from.Row(std::clamp(static_cast<int>(top) - 1 + r, 0, from.height - 1));
          float line[4] = {0, 0, 0, 0};
          for (int k = 0; k < 4; ++k) {
            for (int c = 0; c < 4; ++c) {
              line[c] += static_cast<float>(row[columns[k] + c]) * across[static_cast<size_t>(k)];
            }
          }
          for (int c = 0; c < 4; ++c) sums[c] += line[c] * down[static_cast<size_t>(r)];
        }
        for (int c = 0; c < 4; ++c) {
          pixel[c] =
              static_cast<uint8_t>(static_cast<int>(std::min(std::max(sums[c], 0.0F), 255.0F)));
        }
      }
    })

// sums[i] <- the four rows at byte i, weighted.
DISTILL_VECTORISED(void, AddFourRows,
                   (const uint8_t* const* rows, const float* weights, size_t bytes, float* sums),
                   (rows, weights, bytes, sums), {
                     const uint8_t* const a = rows[0];
                     const uint8_t* const b = rows[1];
                     const uint8_t* const c = rows[2];
                     const uint8_t* const d = rows[3];
                     for (size_t i = 0; i < bytes; ++i) {
                       sums[i] = static_cast<float>(a[i]) * weights[0] +
                                 static_cast<float>(b[i]) * weights[1] +
                                 static_cast<float>(c[i]) * weights[2] +
                                 static_cast<float>(d[i]) * weights[3];
                     }
                   })

// out[i] <- the values at i and one to three pixels further on, weighted.
DISTILL_VECTORISED(void, AddFourPixels,
                   (const float* line, const float* weights, size_t bytes, uint8_t* out),
                   (line, weights, bytes, out), {
                     for (size_t i = 0; i < bytes; ++i) {
                       const float sum = line[i] * weights[0] + line[i + 4] * weights[1] +
                                         line[i + 8] * weights[2] + line[i + 12] * weights[3];
                       out[i] = static_cast<uint8_t>(
                           static_cast<int>(std::min(std::max(sum, 0.0F), 255.0F)));
                     }
                   })

void Fill(uint8_t* pixels, int count) {
  for (int i = 0; i < count; ++i) {
    std::memcpy(pixels + kBitmapBytesPerPixel * i, kFillColor.data(), kFillColor.size());
  }
}

// As TransformRow with a step of (1, 0): all pixels of the row lie alike between those of the
// source, so it is made by two sums of four. `line` is memory to use.
void ShiftRow(const BitmapView& from, double x, double y, int width, std::vector<float>* line,
              uint8_t* out) {
  // The pixels [first, end) come from inside the source.
  const int first = std::clamp(static_cast<int>(std::ceil(-x)), 0, width);
  const int end = std::clamp(static_cast<int>(std::ceil(from.width - x)), first, width);
  if (!(y >= 0.0 && y < from.height) || first == end) return Fill(out, width);
  const double left = std::floor(x - 0.5);
  const double top = std::floor(y - 0.5);
  const std::array<float, 4> across = CubicWeights(static_cast<float>(x - 0.5 - left));
  const std::array<float, 4> down = CubicWeights(static_cast<float>(y - 0.5 - top));
  const uint8_t* rows[4];
  for (int r = 0; r < 4; ++r) {
    rows[r] = from.Row(std::clamp(static_cast<int>(top) - 1 + r, 0, from.height - 1));
  }
  // Two pixels before the source's first and after its last repeat them.
  constexpr size_t kPixel = kBitmapBytesPerPixel;
  constexpr size_t kBefore = 2;
  const size_t bytes = static_cast<size_t>(from.width) * kPixel;
  line->resize(bytes + 2 * kBefore * kPixel);
  float* const values = line->data() + kBefore * kPixel;
  AddFourRows(rows, down.data(), bytes, values);
  for (size_t i = 0; i < kBefore; ++i) {
    std::copy_n(values, kPixel, line->data() + i * kPixel);
    std::copy_n(values + bytes - kPixel, kPixel, values + bytes + i * kPixel);
  }
  Fill(out, first);
  const int source = static_cast<int>(left) - 1 + first;  // Of the first tap; at least -2.
  AddFourPixels(line->data() + static_cast<size_t>(source + static_cast<int>(kBefore)) * kPixel,
                across.data(), static_cast<size_t>(end - first) * kPixel,
                out + static_cast<size_t>(first) * kPixel);
  Fill(out + static_cast<size_t>(end) * kPixel, width - end);
}

}  // namespace

void AutoContrast(Bitmap* image) {
  std::array<Histogram, 3> histograms;
  Count(*image, &histograms);
  std::array<Table, 3> tables;
  for (size_t c = 0; c < 3; ++c) {
    int low = 0;
    int high = 255;
    while (low < 255 && histograms[c][static_cast<size_t>(low)] == 0) ++low;
    while (high > 0 && histograms[c][static_cast<size_t>(high)] == 0) --high;
    const double scale = high > low ? 255.0 / (high - low) : 1.0;
    const double offset = high > low ? -low * scale : 0.0;
    for (int v = 0; v < 256; ++v) {
      tables[c][static_cast<size_t>(v)] = ToByte(static_cast<int>(v * scale + offset));
    }
  }
  LookUp(tables, image);
}

void Equalize(Bitmap* image) {
  std::array<Histogram, 3> histograms;
  Count(*image, &histograms);
  std::array<Table, 3> tables;
  for (size_t c = 0; c < 3; ++c) {
    const Histogram& histogram = histograms[c];
    uint32_t total = 0;
    uint32_t last = 0;
    int kinds = 0;
    for (const uint32_t count : histogram) {
      total += count;
      if (count == 0) continue;
      last = count;
      ++kinds;
    }
    const uint32_t step = (total - last) / 255;
    uint32_t sum = step / 2;
    for (size_t v = 0; v < 256; ++v) {
      tables[c][v] =
          kinds <= 1 || step == 0 ? static_cast<uint8_t>(v) : ToByte(static_cast<int>(sum / step));
      sum += histogram[v];
    }
  }
  LookUp(tables, image);
}

void Invert(Bitmap* image) { InvertBytes(image->data(), image->bytes()); }

void Posterize(int bits, Bitmap* image) {
  const int mask = ~((1 << (8 - bits)) - 1);
  for (uint8_t *byte = image->data(), *end = byte + image->bytes(); byte != end; ++byte) {
    *byte = static_cast<uint8_t>(*byte & mask);
  }
}

void Solarize(int threshold, Bitmap* image) {
  Table table;
  for (int v = 0; v < 256; ++v) {
    table[static_cast<size_t>(v)] = static_cast<uint8_t>(v < threshold ? v : 255 - v);
  }
  LookUp(table, image);
}

void SolarizeAdd(int added, Bitmap* image) {
  Table table;
  for (int v = 0; v < 256; ++v) table[static_cast<size_t>(v)] = ToByte(v < 128 ? v + added : v);
  LookUp(table, image);
}

void ChangeColor(float factor, Bitmap* image) {
  std::vector<uint8_t> grey(image->row_bytes());
  for (int y = 0; y < image->height(); ++y) {
    uint8_t* row = image->Row(y);
    GreyOfRow(row, static_cast<size_t>(image->width()), grey.data());
    BlendBytes(grey.data(), factor, grey.size(), row);
  }
}

void ChangeContrast(float factor, Bitmap* image) {
  std::vector<uint8_t> grey(image->row_bytes());
  uint64_t sum = 0;
  for (int y = 0; y < image->height(); ++y) {
    GreyOfRow(image->Row(y), static_cast<size_t>(image->width()), grey.data());
    for (size_t i = 0; i < grey.size(); i += kBitmapBytesPerPixel) sum += grey[i];
  }
  const double mean = static_cast<double>(sum) / (double{1} * image->height() * image->width());
  std::fill(grey.begin(), grey.end(), static_cast<uint8_t>(mean + 0.5));
  for (int y = 0; y < image->height(); ++y) {
    BlendBytes(grey.data(), factor, grey.size(), image->Row(y));
  }
}

void ChangeBrightness(float factor, Bitmap* image) {
  const std::vector<uint8_t> black(image->row_bytes());
  for (int y = 0; y < image->height(); ++y) {
    BlendBytes(black.data(), factor, black.size(), image->Row(y));
  }
}

void ChangeSharpness(float factor, Bitmap* image, Bitmap* scratch) {
  // The outermost pixels are smoothed to themselves.
  scratch->Reshape(image->height(), image->width());
  std::memcpy(scratch->data(), image->data(), image->bytes());
  for (int y = 1; y + 1 < image->height(); ++y) {
    SmoothRow(image->Row(y - 1), image->Row(y), image->Row(y + 1), image->row_bytes(),
              scratch->Row(y));
  }
  BlendBytes(scratch->data(), factor, image->bytes(), image->data());
}

void Transform(const AffineMap& map, Bitmap* image, Bitmap* scratch) {
  scratch->Reshape(image->height(), image->width());
  const BitmapView from = image->View();
  const bool is_shift = map.a == 1.0 && map.d == 0.0;  // Of each row as a whole.
  std::vector<float> line;
  for (int y = 0; y < image->height(); ++y) {
    // Pillow's affine_transform of the pixel's centre.
    const double source_x = map.a * 0.5 + map.b * (y + 0.5) + map.c;
    const double source_y = map.d * 0.5 + map.e * (y + 0.5) + map.f;
    if (is_shift) {
      ShiftRow(from, source_x, source_y, image->width(), &line, scratch->Row(y));
      continue;
    }
    TransformRow(from, source_x, source_y, map.a, map.d, image->width(), scratch->Row(y));
  }
  image->Swap(*scratch);
}

AffineMap Rotation(double degrees, const ImageSize& size) {
  const double angle = -degrees * kPi / 180.0;
  AffineMap map;
  map.a = std::cos(angle);
  map.b = std::sin(angle);
  map.d = -std::sin(angle);
  map.e = std::cos(angle);
  const double x = size.width / 2.0;
  const double y = size.height / 2.0;
  map.c = x - map.a * x - map.b * y;
  map.f = y - map.d * x - map.e * y;
  return map;
}

}  // namespace distill::data
