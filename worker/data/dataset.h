// What the rest of the worker knows of a data set: labelled images, read by index. Either all have
// one shape and come as pixels, or each may have its own and comes as it is stored. File formats,
// subsets and corruptions hide behind it, and each is a file of its own here.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
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

// An image as its data set keeps it. Reused from image to image, so that its memory is.
struct StoredImage {
  enum class Form {
    kPixels,   // shape.pixels() bytes: channel by channel, row by row, 0 to 255.
    kEncoded,  // The bytes of a JPEG or PNG file; `shape` is all zeros.
  };
  Form form = Form::kPixels;
  ImageShape shape;
  std::vector<uint8_t> bytes;
};

// Immutable, hence thread-safe. Indices run from 0 to size() - 1; anything else is the caller's
// bug.
class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual int64_t size() const = 0;
  // Number of classes K; every label is in [0, K).
  virtual int classes() const = 0;
  // The shape of every image. Where images are files of their own, which may differ in size, height
  // and width are 0 and channels is 3: the number that they are decoded to.
  virtual const ImageShape& shape() const = 0;
  virtual int64_t Label(int64_t index) const = 0;
  // Writes the image's shape().pixels() bytes, channel by channel, row by row, 0 to 255. On error
  // the buffer's content is unspecified. May block on a disk. Requires has_one_shape();
  // SquareDataset (square_dataset.h) gives any data set one.
  virtual absl::Status Read(int64_t index, absl::Span<uint8_t> pixels) const = 0;
  // Gives the image as it is stored. On error its content is unspecified. May block on a disk. This
  // one calls Read().
  virtual absl::Status Fetch(int64_t index, StoredImage* image) const;
  // What to call the image when it is at fault: its file, in a tar file also the entry.
  virtual std::string NameOf(int64_t index) const;
  // Calls `visit` with the path of each file that images are read from when they are asked for, in
  // a fixed order; its error ends the walk and is returned. This one has no such files.
  virtual absl::Status VisitFiles(
      absl::FunctionRef<absl::Status(const std::string& path)> visit) const;

  bool has_one_shape() const { return shape().height > 0 && shape().width > 0; }
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

// Reads every image of a data set of one shape. Sums are kept in integers, so the result does not
// depend on the order of reading. kInvalidArgument for an empty set; errors of Read(). ScanImages
// (scan.h) does the same for any data set.
absl::StatusOr<ChannelStatistics> ComputeStatistics(const Dataset& dataset);

// Returns how many images each class has.
std::vector<int64_t> CountPerClass(const Dataset& dataset);

// Digest of the content, in order: shape, number of classes, then each label and image. Of a data
// set of one shape, images count as pixels, so it is the same whether the files were compressed; of
// others as the bytes of their files, which are not decoded. Does not depend on where the files
// lie. Reads every image.
absl::StatusOr<Digest> ContentDigest(const Dataset& dataset);

// The same piece by piece: Append() for each image in order, then Finish() once. One thread.
class ContentDigestBuilder {
 public:
  explicit ContentDigestBuilder(const Dataset& dataset);
  void Append(int64_t label, const StoredImage& image);
  Digest Finish() { return builder_.Finish(); }

 private:
  void AppendNumber(uint32_t number);  // Four bytes, the lowest first.

  const bool is_of_files_;
  DigestBuilder builder_;
};

// The digest by which a job names its data, from the ContentDigest of its two splits; `train` is
// empty where there are only test images.
Digest PairDigest(const Digest& train, const Digest& test);

}  // namespace distill::data
