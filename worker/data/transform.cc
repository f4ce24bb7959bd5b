#include "worker/data/transform.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "worker/data/crop.h"
#include "worker/data/rand_augment.h"

namespace distill::data {
namespace {

// Writes to `to` the image `from` moved down by `dy` and right by `dx`; zeros move in.
void Move(const ImageShape& shape, int dy, int dx, absl::Span<const uint8_t> from,
          absl::Span<uint8_t> to) {
  std::fill(to.begin(), to.end(), uint8_t{0});
  const int first_x = std::max(0, dx);
  const int last_x = std::min(shape.width, shape.width + dx);
  if (first_x >= last_x) return;
  for (int c = 0; c < shape.channels; ++c) {
    for (int y = std::max(0, dy); y < std::min(shape.height, shape.height + dy); ++y) {
      const int64_t source = (int64_t{c} * shape.height + y - dy) * shape.width;
      const int64_t target = (int64_t{c} * shape.height + y) * shape.width;
      std::copy_n(from.begin() + source + first_x - dx, last_x - first_x,
                  to.begin() + target + first_x);
    }
  }
}

// Uniform in [-reach, reach].
int Offset(CounterRandom& random, int reach) {
  return static_cast<int>(random.Below(static_cast<uint32_t>(2 * reach + 1))) - reach;
}

class CropTransform : public PixelTransform {
 public:
  explicit CropTransform(int padding) : padding_(padding) {}
  absl::string_view name() const override { return "crop"; }
  void Apply(const ImageShape& shape, CounterRandom& random, absl::Span<uint8_t> pixels,
             absl::Span<uint8_t> scratch) const override {
    const int dy = Offset(random, padding_);
    const int dx = Offset(random, padding_);
    std::copy(pixels.begin(), pixels.end(), scratch.begin());
    Move(shape, dy, dx, scratch, pixels);
  }

 private:
  const int padding_;
};

class ShiftTransform : public PixelTransform {
 public:
  explicit ShiftTransform(double max_fraction) : max_fraction_(max_fraction) {}
  absl::string_view name() const override { return "shift"; }
  void Apply(const ImageShape& shape, CounterRandom& random, absl::Span<uint8_t> pixels,
             absl::Span<uint8_t> scratch) const override {
    const int dy = Offset(random, static_cast<int>(max_fraction_ * shape.height));
    const int dx = Offset(random, static_cast<int>(max_fraction_ * shape.width));
    std::copy(pixels.begin(), pixels.end(), scratch.begin());
    Move(shape, dy, dx, scratch, pixels);
  }

 private:
  const double max_fraction_;
};

class FlipTransform : public PixelTransform {
 public:
  explicit FlipTransform(double probability) : probability_(probability) {}
  absl::string_view name() const override { return "flip"; }
  void Apply(const ImageShape& shape, CounterRandom& random, absl::Span<uint8_t> pixels,
             absl::Span<uint8_t>) const override {
    if (random.Uniform() >= probability_) return;
    for (auto row = pixels.begin(); row != pixels.end(); row += shape.width) {
      std::reverse(row, row + shape.width);
    }
  }

 private:
  const double probability_;
};

class EraseTransform : public ValueTransform {
 public:
  explicit EraseTransform(double probability) : probability_(probability) {}
  absl::string_view name() const override { return "erase"; }

  void Apply(const ImageShape& shape, CounterRandom& random,
             absl::Span<float> values) const override {
    if (random.Uniform() >= probability_) return;
    const double image_area = static_cast<double>(shape.height) * shape.width;
    for (int attempt = 0; attempt < kTries; ++attempt) {
      const double area = random.Uniform(kLeastArea, kMostArea) * image_area;
      const double aspect =
          std::exp(random.Uniform(std::log(kLeastAspect), -std::log(kLeastAspect)));
      const int height = static_cast<int>(std::lround(std::sqrt(area * aspect)));
      const int width = static_cast<int>(std::lround(std::sqrt(area / aspect)));
      if (height < 1 || width < 1 || height >= shape.height || width >= shape.width) continue;
      const int top =
          static_cast<int>(random.Below(static_cast<uint32_t>(shape.height - height + 1)));
      const int left =
          static_cast<int>(random.Below(static_cast<uint32_t>(shape.width - width + 1)));
      for (int c = 0; c < shape.channels; ++c) {
        for (int y = top; y < top + height; ++y) {
          const int64_t start = (int64_t{c} * shape.height + y) * shape.width + left;
          random.FillNormal(values.data() + start, static_cast<size_t>(width));
        }
      }
      return;
    }
  }

 private:
  static constexpr int kTries = 10;
  static constexpr double kLeastArea = 0.02;
  static constexpr double kMostArea = 1.0 / 3.0;
  static constexpr double kLeastAspect = 0.3;

  const double probability_;
};

constexpr int kLargestInput = 4096;
constexpr int kMostOperations = 15;

bool IsProbability(double value) { return value >= 0.0 && value <= 1.0; }

absl::Status ValidateGeometry(const ImageShape& shape, const TransformConfig& config) {
  if (config.input_size < 0 || config.input_size > kLargestInput) {
    return absl::InvalidArgumentError(absl::StrCat("transform.input_size must be 0 to ",
                                                   kLargestInput, "; got=", config.input_size));
  }
  const double share = config.random_resized_crop;
  if (!(share >= 0.0 && share <= 1.0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("transform.random_resized_crop must be in [0, 1]; got=", share));
  }
  if (share > 0.0) {
    if (config.input_size == 0) {
      return absl::InvalidArgumentError(
          "transform.random_resized_crop needs the size to resize to: transform.input_size");
    }
    if (config.crop_padding > 0 || config.shift_fraction > 0.0) {
      return absl::InvalidArgumentError(
          "transform.random_resized_crop excludes crop_padding and shift_fraction");
    }
  } else if (shape.height <= 0 || shape.width <= 0) {
    return absl::InvalidArgumentError(
        "cannot take images as they are: they may differ in size; set transform.input_size");
  }
  return absl::OkStatus();
}

absl::Status ValidateColors(const ImageShape& shape, const TransformConfig& config) {
  const RandAugmentConfig& augment = config.rand_augment;
  if (augment.operations < 0 || augment.operations > kMostOperations) {
    return absl::InvalidArgumentError(
        absl::StrCat("transform.rand_augment.operations must be 0 to ", kMostOperations,
                     "; got=", augment.operations));
  }
  if (!(augment.magnitude >= 0.0 && augment.magnitude <= 10.0) ||
      !(augment.magnitude_deviation >= 0.0 && augment.magnitude_deviation <= 10.0)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "transform.rand_augment.magnitude and its deviation must be in [0, 10]; magnitude=",
        augment.magnitude, " deviation=", augment.magnitude_deviation));
  }
  if (!IsProbability(config.color_jitter)) {
    return absl::InvalidArgumentError(
        absl::StrCat("transform.color_jitter must be in [0, 1]; got=", config.color_jitter));
  }
  const bool needs_bitmap =
      config.random_resized_crop > 0.0 || augment.operations > 0 || config.color_jitter > 0.0;
  if (needs_bitmap && shape.channels != 1 && shape.channels != 3) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot crop or recolour images: they need 1 or 3 channels; channels=", shape.channels));
  }
  return absl::OkStatus();
}

absl::Status Validate(const ImageShape& shape, const TransformConfig& config) {
  DISTILL_RETURN_IF_ERROR(ValidateColors(shape, config));
  if (config.crop_padding < 0 || config.crop_padding > std::min(shape.height, shape.width)) {
    return absl::InvalidArgumentError(
        absl::StrCat("transform.crop_padding must be 0 to the smaller side of the image; got=",
                     config.crop_padding, " height=", shape.height, " width=", shape.width));
  }
  if (!IsProbability(config.flip_probability)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "transform.flip_probability must be in [0, 1]; got=", config.flip_probability));
  }
  if (!(config.shift_fraction >= 0.0 && config.shift_fraction < 1.0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("transform.shift_fraction must be in [0, 1); got=", config.shift_fraction));
  }
  if (!IsProbability(config.erase_probability)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "transform.erase_probability must be in [0, 1]; got=", config.erase_probability));
  }
  const size_t channels = static_cast<size_t>(shape.channels);
  if (config.mean.size() != config.deviation.size() ||
      (!config.mean.empty() && config.mean.size() != channels)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "transform.mean and transform.deviation need one entry per channel; mean=",
        config.mean.size(), " deviation=", config.deviation.size(), " channels=", channels));
  }
  for (size_t c = 0; c < config.mean.size(); ++c) {
    const bool usable = std::isfinite(config.mean[c]) && std::isfinite(config.deviation[c]);
    if (!usable || config.deviation[c] <= 0.0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "transform.deviation must be positive and finite, and the mean finite; channel=", c,
          " mean=", config.mean[c], " deviation=", config.deviation[c]));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::unique_ptr<PixelTransform> RandomCrop(int padding) {
  return std::make_unique<CropTransform>(padding);
}

std::unique_ptr<PixelTransform> RandomFlip(double probability) {
  return std::make_unique<FlipTransform>(probability);
}

std::unique_ptr<PixelTransform> RandomShift(double max_fraction) {
  return std::make_unique<ShiftTransform>(max_fraction);
}

std::unique_ptr<ValueTransform> RandomErasing(double probability) {
  return std::make_unique<EraseTransform>(probability);
}

absl::StatusOr<TransformPipeline> TransformPipeline::Create(const ImageShape& shape,
                                                            const TransformConfig& config) {
  DISTILL_RETURN_IF_ERROR(ValidateGeometry(shape, config));
  ImageShape output = shape;
  if (config.random_resized_crop > 0.0) output.height = output.width = config.input_size;
  DISTILL_RETURN_IF_ERROR(Validate(output, config));
  TransformPipeline pipeline(output);
  pipeline.least_share_ = config.random_resized_crop;
  if (config.crop_padding > 0) {
    pipeline.pixel_transforms_.push_back(RandomCrop(config.crop_padding));
  }
  if (config.shift_fraction > 0.0) {
    pipeline.pixel_transforms_.push_back(RandomShift(config.shift_fraction));
  }
  if (pipeline.takes_stored_images()) {
    pipeline.flip_probability_ = config.flip_probability;
  } else if (config.flip_probability > 0.0) {
    pipeline.pixel_transforms_.push_back(RandomFlip(config.flip_probability));
  }
  if (config.rand_augment.operations > 0) {
    pipeline.bitmap_transforms_.push_back(RandAugment(config.rand_augment));
  } else if (config.color_jitter > 0.0) {
    pipeline.bitmap_transforms_.push_back(ColorJitter(config.color_jitter));
  }
  if (config.erase_probability > 0.0) {
    pipeline.value_transforms_.push_back(RandomErasing(config.erase_probability));
  }
  for (size_t c = 0; c < static_cast<size_t>(shape.channels); ++c) {
    const double mean = config.mean.empty() ? 0.0 : config.mean[c];
    const double deviation = config.deviation.empty() ? 1.0 : config.deviation[c];
    for (int pixel = 0; pixel < 256; ++pixel) {
      pipeline.normalised_.push_back(static_cast<float>((pixel / 255.0 - mean) / deviation));
    }
  }
  return pipeline;
}

void TransformPipeline::Apply(const CounterRandom& random, absl::Span<uint8_t> pixels,
                              Workspace* workspace, absl::Span<float> values) const {
  workspace->scratch.resize(pixels.size());
  for (const auto& transform : pixel_transforms_) {
    CounterRandom stream = random.Stream(transform->name());
    transform->Apply(shape_, stream, pixels, absl::MakeSpan(workspace->scratch));
  }
  if (!bitmap_transforms_.empty()) {
    JoinPlanes(pixels, shape_.channels, {shape_.height, shape_.width},
               {0, 0, shape_.width, shape_.height}, &workspace->image);
    return FinishBitmap(random, workspace, values);
  }
  const size_t plane = static_cast<size_t>(shape_.height) * static_cast<size_t>(shape_.width);
  for (size_t c = 0; c < static_cast<size_t>(shape_.channels); ++c) {
    const float* table = normalised_.data() + 256 * c;
    for (size_t i = c * plane; i < (c + 1) * plane; ++i) values[i] = table[pixels[i]];
  }
  ChangeValues(random, values);
}

absl::Status TransformPipeline::ApplyToStored(const CounterRandom& random, const StoredImage& image,
                                              Workspace* workspace,
                                              absl::Span<float> values) const {
  DISTILL_ASSIGN_OR_RETURN(const ImageSize size, workspace->decoder.Open(image));
  CounterRandom crop_random = random.Stream("resized crop");
  const Box box = DrawResizedCrop(size, least_share_, crop_random);
  DISTILL_ASSIGN_OR_RETURN(const DecodedBox decoded,
                           workspace->decoder.Decode({box, shape_.width, shape_.height}));
  workspace->resizer.Resize(decoded,
                            {{shape_.height, shape_.width}, {0, 0, shape_.width, shape_.height}},
                            &workspace->image);
  CounterRandom flip_random = random.Stream("flip");
  if (flip_probability_ > 0.0 && flip_random.Uniform() < flip_probability_) {
    Mirror(&workspace->image);
  }
  FinishBitmap(random, workspace, values);
  return absl::OkStatus();
}

void TransformPipeline::FinishBitmap(const CounterRandom& random, Workspace* workspace,
                                     absl::Span<float> values) const {
  for (const auto& transform : bitmap_transforms_) {
    CounterRandom stream = random.Stream(transform->name());
    transform->Apply(stream, &workspace->image, &workspace->other);
  }
  const uint8_t* pixel = workspace->image.data();
  const size_t plane = static_cast<size_t>(shape_.height) * static_cast<size_t>(shape_.width);
  const float* const table = normalised_.data();
  float* const out = values.data();
  if (shape_.channels == 1) {
    for (size_t i = 0; i < plane; ++i) out[i] = table[pixel[kBitmapBytesPerPixel * i]];
  } else {
    for (size_t i = 0; i < plane; ++i, pixel += kBitmapBytesPerPixel) {
      out[i] = table[pixel[0]];
      out[plane + i] = table[256 + pixel[1]];
      out[2 * plane + i] = table[512 + pixel[2]];
    }
  }
  ChangeValues(random, values);
}

void TransformPipeline::ChangeValues(const CounterRandom& random, absl::Span<float> values) const {
  for (const auto& transform : value_transforms_) {
    CounterRandom stream = random.Stream(transform->name());
    transform->Apply(shape_, stream, values);
  }
}

}  // namespace distill::data
