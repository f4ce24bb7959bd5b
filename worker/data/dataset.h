// What the rest of the worker knows of a data set: labelled images of one shape, read by index.
// File formats, subsets and corruptions hide behind it, and each is a file of its own here.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/digest.h"

namespace distill::data {

struct ImageShape {
  int channels = 0;
  int height = 0;
  int width = 0;

  int64_t pixels() const { return int64_t{channels} * height * width; }
  friend bool operator==(const ImageShape& a, const ImageShape& b) {
    return a.channels == b.channels && a.height == b.height && a.width == b.width;
  }
};

// Immutable, hence thread-safe. Indices run from 0 to size() - 1; anything else is the caller's
// bug.
class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual int64_t size() const = 0;
  // Number of classes K; every label is in [0, K).
  virtual int classes() const = 0;
  virtual const ImageShape& shape() const = 0;
  virtual int64_t Label(int64_t index) const = 0;
  // Writes the image's shape().pixels() bytes, channel by channel, row by row, 0 to 255. On error
  // the buffer's content is unspecified. May block on a disk.
  virtual absl::Status Read(int64_t index, absl::Span<uint8_t> pixels) const = 0;

  int channels() const { return shape().channels; }
  int height() const { return shape().height; }
  int width() const { return shape().width; }
};

// A data set held in memory, one allocation for all images.
class MemoryDataset : public Dataset {
 public:
  // `pixels` holds labels.size() images one after the other. kInvalidArgument when the sizes do not
  // fit together, or a label is outside [0, classes); the message names the first bad entry.
  static absl::StatusOr<std::unique_ptr<MemoryDataset>> Create(const ImageShape& shape, int classes,
                                                               std::vector<uint8_t> pixels,
                                                               std::vector<uint8_t> labels);

  int64_t size() const override { return static_cast<int64_t>(labels_.size()); }
  int classes() const override { return classes_; }
  const ImageShape& shape() const override { return shape_; }
  int64_t Label(int64_t index) const override;
  absl::Status Read(int64_t index, absl::Span<uint8_t> pixels) const override;

 private:
  MemoryDataset(const ImageShape& shape, int classes, std::vector<uint8_t> pixels,
                std::vector<uint8_t> labels);

  const ImageShape shape_;
  const int classes_;
  const std::vector<uint8_t> pixels_;
  const std::vector<uint8_t> labels_;
};

// Mean and population standard deviation of each channel, of pixels scaled to [0, 1].
struct ChannelStatistics {
  std::vector<double> mean;
  std::vector<double> deviation;
};

// Reads every image. Sums are kept in integers, so the result does not depend on the order of
// reading. kInvalidArgument for an empty set; errors of Read().
absl::StatusOr<ChannelStatistics> ComputeStatistics(const Dataset& dataset);

// Returns how many images each class has.
std::vector<int64_t> CountPerClass(const Dataset& dataset);

// Digest of the decoded content, in order: shape, number of classes, then each label and image. The
// same whether the files were compressed, and wherever they lay. Reads every image.
absl::StatusOr<Digest> ContentDigest(const Dataset& dataset);

// The digest by which a job names its data, from the ContentDigest of its two splits.
Digest PairDigest(const Digest& train, const Digest& test);

}  // namespace distill::data
