// Turns one stored image into the numbers a model is fed: random changes of the pixels,
// normalisation, random changes of the normalised values. What is drawn depends on (seed, epoch,
// sample) alone; each transform draws from a stream of its own name, so adding one leaves the draws
// of the others alone.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/counter_random.h"
#include "worker/data/dataset.h"

namespace distill::data {

// Changes an image in place, before normalisation. Immutable, hence thread-safe.
class PixelTransform {
 public:
  virtual ~PixelTransform() = default;
  // Names the random stream; unique within a pipeline and part of what fixes the bits.
  virtual absl::string_view name() const = 0;
  // `scratch` is as large as `pixels` and holds anything; it saves an allocation per image.
  virtual void Apply(const ImageShape& shape, CounterRandom& random, absl::Span<uint8_t> pixels,
                     absl::Span<uint8_t> scratch) const = 0;
};

// Changes the normalised values in place. Immutable, hence thread-safe.
class ValueTransform {
 public:
  virtual ~ValueTransform() = default;
  virtual absl::string_view name() const = 0;
  virtual void Apply(const ImageShape& shape, CounterRandom& random,
                     absl::Span<float> values) const = 0;
};

// Pads by `padding` zero pixels on each side and cuts a window of the old size out, at any of its
// (2 * padding + 1)^2 places alike.
std::unique_ptr<PixelTransform> RandomCrop(int padding);
// Mirrors left and right with `probability`.
std::unique_ptr<PixelTransform> RandomFlip(double probability);
// Moves the image by up to `max_fraction` of its height and width each way; zeros move in.
std::unique_ptr<PixelTransform> RandomShift(double max_fraction);
// With `probability` fills one rectangle with standard normal noise per value: area 2 to 33 % of
// the image, aspect ratio log-uniform in [0.3, 1/0.3], 10 tries to fit it (Zhong et al. 2020,
// arXiv:1708.04896, "pixel" mode).
std::unique_ptr<ValueTransform> RandomErasing(double probability);

struct TransformConfig {
  // Zero switches a step off.
  int crop_padding = 0;            // Pixels, at most the image's smaller side.
  double flip_probability = 0.0;   // [0, 1]
  double shift_fraction = 0.0;     // [0, 1)
  double erase_probability = 0.0;  // [0, 1]
  // Value = (pixel / 255 - mean[c]) / deviation[c]. One entry per channel; deviation > 0. Empty: 0
  // and 1.
  std::vector<double> mean;
  std::vector<double> deviation;
};

// The steps of one data set, in the order: crop, shift, flip; normalise; erase. Immutable, hence
// thread-safe.
class TransformPipeline {
 public:
  // kInvalidArgument names the field that is out of range.
  static absl::StatusOr<TransformPipeline> Create(const ImageShape& shape,
                                                  const TransformConfig& config);

  // Reads `pixels`, which it may overwrite, and fills `values`, both of one image. `random` is
  // the visit's own (batch_loader.h).
  void Apply(const CounterRandom& random, absl::Span<uint8_t> pixels, absl::Span<uint8_t> scratch,
             absl::Span<float> values) const;

 private:
  explicit TransformPipeline(const ImageShape& shape) : shape_(shape) {}

  ImageShape shape_;
  std::vector<std::unique_ptr<PixelTransform>> pixel_transforms_;
  std::vector<float> normalised_;  // [C, 256]: the value of each pixel value, per channel.
  std::vector<std::unique_ptr<ValueTransform>> value_transforms_;
};

}  // namespace distill::data
