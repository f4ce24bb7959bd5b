#include "worker/data/dataset.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace distill::data {

absl::Status Dataset::Fetch(int64_t index, StoredImage* image) const {
  image->form = StoredImage::Form::kPixels;
  image->shape = shape();
  image->bytes.resize(static_cast<size_t>(shape().pixels()));
  return Read(index, absl::MakeSpan(image->bytes));
}

std::string Dataset::NameOf(int64_t index) const { return absl::StrCat("image ", index); }

absl::Status Dataset::VisitFiles(absl::FunctionRef<absl::Status(const std::string&)>) const {
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<MemoryDataset>> MemoryDataset::Create(const ImageShape& shape,
                                                                     int classes,
                                                                     std::vector<uint8_t> pixels,
                                                                     std::vector<uint8_t> labels) {
  if (shape.channels <= 0 || shape.height <= 0 || shape.width <= 0 || classes <= 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot make data set: shape and number of classes must be positive; channels=",
        shape.channels, " height=", shape.height, " width=", shape.width, " classes=", classes));
  }
  const uint64_t wanted = static_cast<uint64_t>(shape.pixels()) * labels.size();
  if (pixels.size() != wanted) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot make data set: pixels do not match labels; labels=", labels.size(),
                     " pixel_bytes=", pixels.size(), " want=", wanted));
  }
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] >= classes) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot make data set: label is outside [0, classes); entry=", i,
                       " label=", static_cast<int>(labels[i]), " classes=", classes));
    }
  }
  return absl::WrapUnique(new MemoryDataset(shape, classes, std::move(pixels), std::move(labels)));
}

MemoryDataset::MemoryDataset(const ImageShape& shape, int classes, std::vector<uint8_t> pixels,
                             std::vector<uint8_t> labels)
    : shape_(shape), classes_(classes), pixels_(std::move(pixels)), labels_(std::move(labels)) {}

int64_t MemoryDataset::Label(int64_t index) const {
  DISTILL_CHECK(index >= 0 && index < size(), "samplers yield indices of this data set");
  return labels_[static_cast<size_t>(index)];
}

absl::Status MemoryDataset::Read(int64_t index, absl::Span<uint8_t> pixels) const {
  DISTILL_CHECK(index >= 0 && index < size(), "samplers yield indices of this data set");
  DISTILL_CHECK(static_cast<int64_t>(pixels.size()) == shape_.pixels(),
                "the buffer holds one image");
  std::copy_n(pixels_.begin() + index * shape_.pixels(), shape_.pixels(), pixels.begin());
  return absl::OkStatus();
}

absl::StatusOr<ChannelStatistics> ComputeStatistics(const Dataset& dataset) {
  if (dataset.size() == 0) {
    return absl::InvalidArgumentError("cannot compute statistics: the data set has no image");
  }
  const ImageShape& shape = dataset.shape();
  const size_t plane = static_cast<size_t>(shape.height) * static_cast<size_t>(shape.width);
  std::vector<uint64_t> sums(static_cast<size_t>(shape.channels));
  std::vector<uint64_t> squares(sums.size());
  std::vector<uint8_t> image(static_cast<size_t>(shape.pixels()));
  for (int64_t i = 0; i < dataset.size(); ++i) {
    DISTILL_RETURN_IF_ERROR(dataset.Read(i, absl::MakeSpan(image)));
    for (size_t c = 0; c < sums.size(); ++c) {
      uint64_t sum = 0;
      uint64_t square = 0;
      for (const uint8_t pixel : absl::MakeConstSpan(image).subspan(c * plane, plane)) {
        sum += pixel;
        square += static_cast<uint64_t>(pixel) * pixel;
      }
      sums[c] += sum;
      squares[c] += square;
    }
  }
  ChannelStatistics statistics;
  const double count = static_cast<double>(plane) * static_cast<double>(dataset.size());
  for (size_t c = 0; c < sums.size(); ++c) {
    const double mean = static_cast<double>(sums[c]) / count;
    const double variance = static_cast<double>(squares[c]) / count - mean * mean;
    statistics.mean.push_back(mean / 255.0);
    statistics.deviation.push_back(std::sqrt(std::max(variance, 0.0)) / 255.0);
  }
  return statistics;
}

std::vector<int64_t> CountPerClass(const Dataset& dataset) {
  std::vector<int64_t> counts(static_cast<size_t>(dataset.classes()));
  for (int64_t i = 0; i < dataset.size(); ++i) {
    ++counts[static_cast<size_t>(dataset.Label(i))];
  }
  return counts;
}

absl::StatusOr<Digest> ContentDigest(const Dataset& dataset) {
  ContentDigestBuilder builder(dataset);
  StoredImage image;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    DISTILL_RETURN_IF_ERROR(dataset.Fetch(i, &image));
    builder.Append(dataset.Label(i), image);
  }
  return builder.Finish();
}

ContentDigestBuilder::ContentDigestBuilder(const Dataset& dataset)
    : is_of_files_(!dataset.has_one_shape()) {
  // The header is text of this one form, so that another implementation can repeat it.
  builder_.Append(absl::StrCat("distill data set v1\nimages ", dataset.size(), "\nclasses ",
                               dataset.classes(), "\n"));
  const ImageShape& shape = dataset.shape();
  builder_.Append(is_of_files_ ? "files\n"
                               : absl::StrCat("shape ", shape.channels, " ", shape.height, " ",
                                              shape.width, "\n"));
}

void ContentDigestBuilder::Append(int64_t label, const StoredImage& image) {
  AppendNumber(static_cast<uint32_t>(label));
  if (is_of_files_) AppendNumber(static_cast<uint32_t>(image.bytes.size()));
  builder_.Append(
      absl::string_view(reinterpret_cast<const char*>(image.bytes.data()), image.bytes.size()));
}

void ContentDigestBuilder::AppendNumber(uint32_t number) {
  const char bytes[4] = {static_cast<char>(number & 0xff), static_cast<char>((number >> 8) & 0xff),
                         static_cast<char>((number >> 16) & 0xff),
                         static_cast<char>((number >> 24) & 0xff)};
  builder_.Append(absl::string_view(bytes, sizeof(bytes)));
}

Digest PairDigest(const Digest& train, const Digest& test) {
  return Digest::OfBytes(
      absl::StrCat("distill data set pair v1\ntrain ", train.str(), "\ntest ", test.str(), "\n"));
}

}  // namespace distill::data
