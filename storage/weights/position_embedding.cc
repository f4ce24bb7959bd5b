#include "storage/weights/position_embedding.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace distill::storage {
namespace {

constexpr double kCubic = -0.75;

// Where one row or column of the new grid looks in the old one, and how much each place counts.
struct Taps {
  std::array<int64_t, 4> places;
  std::array<double, 4> weights;
};

double NearWeight(double x) { return ((kCubic + 2.0) * x - (kCubic + 3.0)) * x * x + 1.0; }
double FarWeight(double x) {
  return ((kCubic * x - 5.0 * kCubic) * x + 8.0 * kCubic) * x - 4.0 * kCubic;
}

Taps TapsOf(int64_t at, int64_t side, int64_t new_side) {
  const double scale = static_cast<double>(side) / static_cast<double>(new_side);
  const double source = (static_cast<double>(at) + 0.5) * scale - 0.5;
  const double base = std::floor(source), x = source - base;
  Taps taps;
  taps.weights = {FarWeight(x + 1.0), NearWeight(x), NearWeight(1.0 - x), FarWeight(2.0 - x)};
  for (int64_t i = 0; i < 4; ++i) {
    taps.places[static_cast<size_t>(i)] =
        std::clamp<int64_t>(static_cast<int64_t>(base) - 1 + i, 0, side - 1);
  }
  return taps;
}

}  // namespace

absl::StatusOr<std::vector<float>> ResizePositionEmbedding(const std::vector<float>& embedding,
                                                           int64_t width, int64_t new_side) {
  const int64_t positions = static_cast<int64_t>(embedding.size()) / width - 1;
  const int64_t side =
      static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(positions))));
  if (side < 1 || side * side != positions) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot resize position embedding: its grid is not square; positions=", positions));
  }
  std::vector<float> resized(embedding.begin(), embedding.begin() + width);
  resized.resize(static_cast<size_t>((1 + new_side * new_side) * width));
  for (int64_t row = 0; row < new_side; ++row) {
    const Taps rows = TapsOf(row, side, new_side);
    for (int64_t column = 0; column < new_side; ++column) {
      const Taps columns = TapsOf(column, side, new_side);
      for (int64_t c = 0; c < width; ++c) {
        double sum = 0;
        for (size_t i = 0; i < 4; ++i) {
          for (size_t j = 0; j < 4; ++j) {
            const int64_t place = 1 + rows.places[i] * side + columns.places[j];
            sum += rows.weights[i] * columns.weights[j] *
                   static_cast<double>(embedding[static_cast<size_t>(place * width + c)]);
          }
        }
        resized[static_cast<size_t>((1 + row * new_side + column) * width + c)] =
            static_cast<float>(sum);
      }
    }
  }
  return resized;
}

}  // namespace distill::storage
