#include "worker/data/corruption.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "base/corruption_names.h"
#include "base/status_macros.h"

namespace distill::data {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kReferenceSide = 28.0;
constexpr uint8_t kOcclusionGrey = 128;

struct CorruptionRow {
  CorruptionKind kind;
  absl::string_view name;
  absl::string_view family;
  std::array<double, kMostSevere> strength;  // By severity - 1; units in the header.
};

constexpr std::array<CorruptionRow, 9> kRows = {{
    {CorruptionKind::kGaussianNoise, "gaussian_noise", "noise", {{0.08, 0.12, 0.18, 0.26, 0.38}}},
    {CorruptionKind::kShotNoise, "shot_noise", "noise", {{60, 25, 12, 5, 3}}},
    {CorruptionKind::kImpulseNoise, "impulse_noise", "noise", {{0.03, 0.06, 0.09, 0.17, 0.27}}},
    {CorruptionKind::kGaussianBlur, "gaussian_blur", "blur", {{0.5, 0.75, 1.0, 1.5, 2.0}}},
    {CorruptionKind::kMotionBlur, "motion_blur", "blur", {{3, 5, 7, 9, 11}}},
    {CorruptionKind::kContrast, "contrast", "contrast", {{0.75, 0.5, 0.4, 0.3, 0.15}}},
    {CorruptionKind::kBrightness, "brightness", "contrast", {{0.1, 0.2, 0.3, 0.4, 0.5}}},
    {CorruptionKind::kOcclusion, "occlusion", "occlusion", {{6, 8, 10, 12, 14}}},
    {CorruptionKind::kPixelate, "pixelate", "blur", {{0.75, 0.6, 0.5, 0.4, 0.3}}},
}};

const CorruptionRow& RowOf(CorruptionKind kind) {
  const size_t row = static_cast<size_t>(kind);
  DISTILL_CHECK(row < kRows.size() && kRows[row].kind == kind,
                "rows stand in the order of the enumeration");
  return kRows[row];
}

uint8_t ToPixel(double value) {
  return static_cast<uint8_t>(std::clamp(std::floor(value + 0.5), 0.0, 255.0));
}

double ScaleToSide(const ImageShape& shape, double pixels) {
  return pixels * std::min(shape.height, shape.width) / kReferenceSide;
}

constexpr bool NamesAreThoseOfBase() {
  if (kRows.size() != kCorruptionNames.size()) return false;
  for (size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].name != kCorruptionNames[i]) return false;
  }
  return true;
}
static_assert(NamesAreThoseOfBase(), "the server accepts the names that are implemented here");
static_assert(kMostSevere == kMostSevereCorruption, "and the same severities");

// One channel as a grid whose edge pixels go on for ever beyond the edge.
class Plane {
 public:
  Plane(const ImageShape& shape, absl::Span<uint8_t> pixels)
      : height_(shape.height), width_(shape.width), pixels_(pixels) {}
  int height() const { return height_; }
  int width() const { return width_; }
  uint8_t& At(int y, int x) const {
    return pixels_[static_cast<size_t>(y) * static_cast<size_t>(width_) + static_cast<size_t>(x)];
  }
  double Clamped(int y, int x) const {
    return At(std::clamp(y, 0, height_ - 1), std::clamp(x, 0, width_ - 1));
  }

 private:
  const int height_;
  const int width_;
  const absl::Span<uint8_t> pixels_;
};

// Calls `change(plane)` for each channel.
template <typename Change>
void ForEachPlane(const ImageShape& shape, absl::Span<uint8_t> pixels, Change change) {
  const size_t size = static_cast<size_t>(shape.height) * static_cast<size_t>(shape.width);
  for (size_t c = 0; c < static_cast<size_t>(shape.channels); ++c) {
    change(Plane(shape, pixels.subspan(c * size, size)));
  }
}

void AddGaussianNoise(double deviation, CounterRandom& random, absl::Span<uint8_t> pixels) {
  std::vector<float> noise(pixels.size());
  random.FillNormal(noise.data(), noise.size());
  for (size_t i = 0; i < pixels.size(); ++i) {
    pixels[i] = ToPixel(pixels[i] + 255.0 * deviation * static_cast<double>(noise[i]));
  }
}

// Poisson(mean) by searching the distribution function from 0, with one uniform number; for means
// of at most a few hundred.
int PoissonFromUniform(double mean, double uniform) {
  double probability = std::exp(-mean);
  double cumulated = probability;
  int count = 0;
  // The second condition ends the search in the tail, where rounding leaves `cumulated` below 1.
  while (uniform >= cumulated && (count < mean || probability > 0.0)) {
    ++count;
    probability *= mean / count;
    cumulated += probability;
  }
  return count;
}

void AddShotNoise(double events_at_white, CounterRandom& random, absl::Span<uint8_t> pixels) {
  for (uint8_t& pixel : pixels) {
    // Drawn for black pixels too, so that a pixel's noise does not depend on its neighbours.
    const double uniform = random.Uniform();
    const int events = PoissonFromUniform(pixel / 255.0 * events_at_white, uniform);
    pixel = ToPixel(255.0 * events / events_at_white);
  }
}

void AddImpulseNoise(double share, CounterRandom& random, absl::Span<uint8_t> pixels) {
  for (uint8_t& pixel : pixels) {
    const double uniform = random.Uniform();
    if (uniform < share) pixel = uniform < share / 2 ? 0 : 255;
  }
}

void BlurGaussian(double deviation, const ImageShape& shape, absl::Span<uint8_t> pixels) {
  const int radius = static_cast<int>(std::ceil(3.0 * deviation));
  std::vector<double> kernel;
  double sum = 0.0;
  for (int i = -radius; i <= radius; ++i) {
    kernel.push_back(std::exp(-0.5 * i * i / (deviation * deviation)));
    sum += kernel.back();
  }
  for (double& weight : kernel) weight /= sum;
  ForEachPlane(shape, pixels, [&](const Plane& plane) {
    std::vector<double> rows(static_cast<size_t>(plane.height()) *
                             static_cast<size_t>(plane.width()));
    const auto row_at = [&](int y, int x) -> double& {
      return rows[static_cast<size_t>(y) * static_cast<size_t>(plane.width()) +
                  static_cast<size_t>(x)];
    };
    for (int y = 0; y < plane.height(); ++y) {
      for (int x = 0; x < plane.width(); ++x) {
        double value = 0.0;
        for (int i = -radius; i <= radius; ++i) {
          value += kernel[static_cast<size_t>(i + radius)] * plane.Clamped(y, x + i);
        }
        row_at(y, x) = value;
      }
    }
    for (int y = 0; y < plane.height(); ++y) {
      for (int x = 0; x < plane.width(); ++x) {
        double value = 0.0;
        for (int i = -radius; i <= radius; ++i) {
          value += kernel[static_cast<size_t>(i + radius)] *
                   row_at(std::clamp(y + i, 0, plane.height() - 1), x);
        }
        plane.At(y, x) = ToPixel(value);
      }
    }
  });
}

// Averages along a line of `length` pixels in a random direction, sampled at every pixel of length.
void BlurMotion(double length, const ImageShape& shape, CounterRandom& random,
                absl::Span<uint8_t> pixels) {
  const double angle = random.Uniform(0.0, kPi);
  const int taps = std::max(2, static_cast<int>(std::lround(length)));
  std::vector<std::pair<int, int>> offsets;
  for (int i = 0; i < taps; ++i) {
    const double along = i - (taps - 1) / 2.0;
    offsets.emplace_back(static_cast<int>(std::lround(along * std::sin(angle))),
                         static_cast<int>(std::lround(along * std::cos(angle))));
  }
  std::vector<uint8_t> blurred(pixels.size());
  size_t next = 0;
  ForEachPlane(shape, pixels, [&](const Plane& plane) {
    for (int y = 0; y < plane.height(); ++y) {
      for (int x = 0; x < plane.width(); ++x) {
        double sum = 0.0;
        for (const auto& [dy, dx] : offsets) sum += plane.Clamped(y + dy, x + dx);
        blurred[next++] = ToPixel(sum / taps);
      }
    }
  });
  std::copy(blurred.begin(), blurred.end(), pixels.begin());
}

void ChangeContrast(double factor, const ImageShape& shape, absl::Span<uint8_t> pixels) {
  ForEachPlane(shape, pixels, [&](const Plane& plane) {
    uint64_t sum = 0;
    for (int y = 0; y < plane.height(); ++y) {
      for (int x = 0; x < plane.width(); ++x) sum += plane.At(y, x);
    }
    const double mean = static_cast<double>(sum) / plane.height() / plane.width();
    for (int y = 0; y < plane.height(); ++y) {
      for (int x = 0; x < plane.width(); ++x) {
        plane.At(y, x) = ToPixel(mean + factor * (plane.At(y, x) - mean));
      }
    }
  });
}

void Brighten(double added, absl::Span<uint8_t> pixels) {
  for (uint8_t& pixel : pixels) pixel = ToPixel(pixel + 255.0 * added);
}

// Covers a square that lies wholly inside the image.
void Occlude(double side_pixels, const ImageShape& shape, CounterRandom& random,
             absl::Span<uint8_t> pixels) {
  const int side = std::clamp(static_cast<int>(std::lround(side_pixels)), 1,
                              std::min(shape.height, shape.width));
  const int top = static_cast<int>(random.Below(static_cast<uint32_t>(shape.height - side + 1)));
  const int left = static_cast<int>(random.Below(static_cast<uint32_t>(shape.width - side + 1)));
  ForEachPlane(shape, pixels, [&](const Plane& plane) {
    for (int y = top; y < top + side; ++y) {
      for (int x = left; x < left + side; ++x) plane.At(y, x) = kOcclusionGrey;
    }
  });
}

// Splits each side into round(share * side) cells and gives every pixel the mean of its cell.
void Pixelate(double share, const ImageShape& shape, absl::Span<uint8_t> pixels) {
  const int rows = std::max(1, static_cast<int>(std::lround(share * shape.height)));
  const int columns = std::max(1, static_cast<int>(std::lround(share * shape.width)));
  ForEachPlane(shape, pixels, [&](const Plane& plane) {
    for (int r = 0; r < rows; ++r) {
      const int top = r * plane.height() / rows;
      const int bottom = (r + 1) * plane.height() / rows;
      for (int c = 0; c < columns; ++c) {
        const int left = c * plane.width() / columns;
        const int right = (c + 1) * plane.width() / columns;
        double sum = 0.0;
        for (int y = top; y < bottom; ++y) {
          for (int x = left; x < right; ++x) sum += plane.At(y, x);
        }
        const uint8_t mean = ToPixel(sum / ((bottom - top) * (right - left)));
        for (int y = top; y < bottom; ++y) {
          for (int x = left; x < right; ++x) plane.At(y, x) = mean;
        }
      }
    }
  });
}

bool IsSeverity(int severity) { return severity >= 1 && severity <= kMostSevere; }

}  // namespace

const std::vector<CorruptionKind>& AllCorruptions() {
  static const auto& kinds = *[] {
    auto* all = new std::vector<CorruptionKind>;
    for (const CorruptionRow& row : kRows) all->push_back(row.kind);
    return all;
  }();
  return kinds;
}

absl::string_view CorruptionName(CorruptionKind kind) { return RowOf(kind).name; }

absl::string_view CorruptionFamily(CorruptionKind kind) { return RowOf(kind).family; }

absl::StatusOr<CorruptionKind> ParseCorruption(absl::string_view name) {
  for (const CorruptionRow& row : kRows) {
    if (row.name == name) return row.kind;
  }
  const std::string known = absl::StrJoin(
      kRows, ", ",
      [](std::string* out, const CorruptionRow& row) { absl::StrAppend(out, row.name); });
  return absl::InvalidArgumentError(
      absl::StrCat("unknown corruption; name=", name, "; known are ", known));
}

void Corrupt(CorruptionKind kind, int severity, const ImageShape& shape, CounterRandom& random,
             absl::Span<uint8_t> pixels) {
  DISTILL_CHECK(IsSeverity(severity), "CorruptedDataset::Create refuses other severities");
  const double strength = RowOf(kind).strength[static_cast<size_t>(severity - 1)];
  switch (kind) {
    case CorruptionKind::kGaussianNoise:
      return AddGaussianNoise(strength, random, pixels);
    case CorruptionKind::kShotNoise:
      return AddShotNoise(strength, random, pixels);
    case CorruptionKind::kImpulseNoise:
      return AddImpulseNoise(strength, random, pixels);
    case CorruptionKind::kGaussianBlur:
      return BlurGaussian(ScaleToSide(shape, strength), shape, pixels);
    case CorruptionKind::kMotionBlur:
      return BlurMotion(ScaleToSide(shape, strength), shape, random, pixels);
    case CorruptionKind::kContrast:
      return ChangeContrast(strength, shape, pixels);
    case CorruptionKind::kBrightness:
      return Brighten(strength, pixels);
    case CorruptionKind::kOcclusion:
      return Occlude(ScaleToSide(shape, strength), shape, random, pixels);
    case CorruptionKind::kPixelate:
      return Pixelate(strength, shape, pixels);
  }
}

absl::StatusOr<std::unique_ptr<CorruptedDataset>> CorruptedDataset::Create(
    std::shared_ptr<const Dataset> base, const CorruptionSpec& spec) {
  if (!IsSeverity(spec.severity)) {
    return absl::InvalidArgumentError(absl::StrCat("corruption.severity must be 1 to ", kMostSevere,
                                                   "; got=", spec.severity,
                                                   " corruption=", CorruptionName(spec.kind)));
  }
  if (!base->has_one_shape()) {
    return absl::InvalidArgumentError(
        "cannot corrupt images: they may differ in size; bring them to one size first");
  }
  return absl::WrapUnique(new CorruptedDataset(std::move(base), spec));
}

CorruptedDataset::CorruptedDataset(std::shared_ptr<const Dataset> base, const CorruptionSpec& spec)
    : base_(std::move(base)),
      spec_(spec),
      random_(CounterRandom(spec.seed)
                  .Stream("corruption")
                  .Stream(CorruptionName(spec.kind))
                  .Stream(static_cast<uint64_t>(spec.severity))) {}

absl::Status CorruptedDataset::Read(int64_t index, absl::Span<uint8_t> pixels) const {
  DISTILL_RETURN_IF_ERROR(base_->Read(index, pixels));
  CounterRandom random = random_.Stream(static_cast<uint64_t>(index));
  Corrupt(spec_.kind, spec_.severity, shape(), random, pixels);
  return absl::OkStatus();
}

}  // namespace distill::data
