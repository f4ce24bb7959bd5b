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
#include "worker/data/bitmap.h"
#include "worker/data/bitmap_transform.h"
#include "worker/data/dataset.h"
#include "worker/data/image_decoder.h"
#include "worker/data/resize.h"

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

// RandAugment (Cubuk et al. 2020, arXiv:1909.13719) as timm's "rand-m9-mstd0.5-inc1" does it:
// rand_augment.h.
struct RandAugmentConfig {
  int operations = 0;                // Per image, 0 to 15; 0: none.
  double magnitude = 9.0;            // [0, 10]
  double magnitude_deviation = 0.5;  // [0, 10]
};

struct TransformConfig {
  // Zero switches a step off.
  //
  // Side in pixels of the square that images are brought to; 0: they are taken as they are, which
  // needs a data set of one shape. Without random_resized_crop, the square is that of evaluation
  // (square_dataset.h).
  int input_size = 0;
  // Least share of the image's area that a random resized crop keeps: (0, 1]. The paper's: 0.08.
  // Needs input_size, and excludes crop_padding and shift_fraction.
  double random_resized_crop = 0.0;
  RandAugmentConfig rand_augment;
  // Brightness, contrast and saturation change by a factor in [1 - x, 1 + x], in random order. [0,
  // 1]. Not beside RandAugment, as in the reference.
  double color_jitter = 0.0;
  int crop_padding = 0;            // Pixels, at most the image's smaller side.
  double flip_probability = 0.0;   // [0, 1]
  double shift_fraction = 0.0;     // [0, 1)
  double erase_probability = 0.0;  // [0, 1]
  // Value = (pixel / 255 - mean[c]) / deviation[c]. One entry per channel; deviation > 0. Empty: 0
  // and 1.
  std::vector<double> mean;
  std::vector<double> deviation;
};

// The steps of one data set, in the order: crop (resized or padded), shift, flip, RandAugment or
// colour jitter; normalise; erase. Immutable, hence thread-safe.
class TransformPipeline {
 public:
  // What a thread lends the pipeline: memory that is kept from image to image.
  struct Workspace {
    std::vector<uint8_t> scratch;
    ImageDecoder decoder;
    Resizer resizer;
    Bitmap image;
    Bitmap other;
  };

  // For a data set whose images have `shape`. kInvalidArgument names the field that is out of
  // range, or when images of different sizes are to be taken as they are.
  static absl::StatusOr<TransformPipeline> Create(const ImageShape& shape,
                                                  const TransformConfig& config);

  // Of the values.
  const ImageShape& output_shape() const { return shape_; }
  // Whether images go through ApplyToStored(), else Apply().
  bool takes_stored_images() const { return least_share_ > 0.0; }

  // Reads `pixels`, which it may overwrite, and fills `values`, both of one image. `random` is
  // the visit's own (batch_loader.h).
  void Apply(const CounterRandom& random, absl::Span<uint8_t> pixels, Workspace* workspace,
             absl::Span<float> values) const;
  // The same for an image as it is stored. kDataLoss with the reason when it cannot be decoded.
  absl::Status ApplyToStored(const CounterRandom& random, const StoredImage& image,
                             Workspace* workspace, absl::Span<float> values) const;

 private:
  explicit TransformPipeline(const ImageShape& shape) : shape_(shape) {}

  // Changes the colours of workspace->image, normalises it and changes the values.
  void FinishBitmap(const CounterRandom& random, Workspace* workspace,
                    absl::Span<float> values) const;
  void ChangeValues(const CounterRandom& random, absl::Span<float> values) const;

  ImageShape shape_;
  double least_share_ = 0.0;  // Of a random resized crop; 0: none.
  double flip_probability_ = 0.0;
  std::vector<std::unique_ptr<PixelTransform>> pixel_transforms_;
  std::vector<std::unique_ptr<BitmapTransform>> bitmap_transforms_;
  std::vector<float> normalised_;  // [C, 256]: the value of each pixel value, per channel.
  std::vector<std::unique_ptr<ValueTransform>> value_transforms_;
};

}  // namespace distill::data
