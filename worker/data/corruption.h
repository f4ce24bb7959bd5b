// Spoils test images in the manner of ImageNet-C (Hendrycks and Dietterich 2019, arXiv:1903.12261),
// so that robustness can be measured. Same bits for the same (seed, corruption, severity, image).
//
// Severities 1 to 5, chosen for images of about 28 pixels a side; pixel values run from 0 to 1:
//
//   gaussian_noise  noise      standard deviation               .08  .12  .18  .26  .38
//   shot_noise      noise      Poisson events at full white      60   25   12    5    3
//   impulse_noise   noise      share set to black or white      .03  .06  .09  .17  .27
//   gaussian_blur   blur       standard deviation, pixels        .5  .75  1.0  1.5  2.0
//   motion_blur     blur       length of the streak, pixels       3    5    7    9   11
//   contrast        contrast   factor around the image's mean   .75   .5   .4   .3  .15
//   brightness      contrast   added to every pixel              .1   .2   .3   .4   .5
//   occlusion       occlusion  side of a grey square, pixels      6    8   10   12   14
//   pixelate        blur       size before enlarging, share     .75   .6   .5   .4   .3
//
// Lengths in pixels are scaled by (smaller side / 28) for other sizes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/counter_random.h"
#include "worker/data/dataset.h"

namespace distill::data {

enum class CorruptionKind {
  kGaussianNoise,
  kShotNoise,
  kImpulseNoise,
  kGaussianBlur,
  kMotionBlur,
  kContrast,
  kBrightness,
  kOcclusion,
  kPixelate,
};

constexpr int kMostSevere = 5;

// Every kind, in the order of the enumeration.
const std::vector<CorruptionKind>& AllCorruptions();
// "gaussian_noise", and so on: the word used in jobs and reports.
absl::string_view CorruptionName(CorruptionKind kind);
// "noise", "blur", "contrast" or "occlusion".
absl::string_view CorruptionFamily(CorruptionKind kind);
// kInvalidArgument lists the known names.
absl::StatusOr<CorruptionKind> ParseCorruption(absl::string_view name);

struct CorruptionSpec {
  CorruptionKind kind = CorruptionKind::kGaussianNoise;
  int severity = 1;  // 1 to kMostSevere.
  uint64_t seed = 0;
};

// Spoils one image in place; all channels alike, but for noise. `random` is the image's own.
// Requires a severity in range.
void Corrupt(CorruptionKind kind, int severity, const ImageShape& shape, CounterRandom& random,
             absl::Span<uint8_t> pixels);

// A data set seen through one corruption. Randomness is keyed by the index in `base`: to have a
// subset show the same images as the whole, corrupt the whole and then take the subset.
class CorruptedDataset : public Dataset {
 public:
  // Shares `base` with the other views of it. kInvalidArgument when the severity is out of range,
  // or the images may differ in size: SquareDataset (square_dataset.h) comes first.
  static absl::StatusOr<std::unique_ptr<CorruptedDataset>> Create(
      std::shared_ptr<const Dataset> base, const CorruptionSpec& spec);

  int64_t size() const override { return base_->size(); }
  int classes() const override { return base_->classes(); }
  const ImageShape& shape() const override { return base_->shape(); }
  int64_t Label(int64_t index) const override { return base_->Label(index); }
  absl::Status Read(int64_t index, absl::Span<uint8_t> pixels) const override;
  std::string NameOf(int64_t index) const override { return base_->NameOf(index); }

 private:
  CorruptedDataset(std::shared_ptr<const Dataset> base, const CorruptionSpec& spec);

  const std::shared_ptr<const Dataset> base_;
  const CorruptionSpec spec_;
  const CounterRandom random_;
};

}  // namespace distill::data
