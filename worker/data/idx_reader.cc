#include "worker/data/idx_reader.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "worker/data/inflating_file.h"

namespace distill::data {
namespace {

// The magic number is 0x000008NN: element type 8 (unsigned byte), NN dimensions.
constexpr uint32_t kImagesMagic = 0x00000803;
constexpr uint32_t kLabelsMagic = 0x00000801;
constexpr uint32_t kMostSide = 65535;
constexpr absl::string_view kRemedy =
    "; install the package dataset-fashion-mnist again, or give another directory";

absl::Status BadFile(const std::string& path, absl::string_view cause) {
  return absl::InvalidArgumentError(
      absl::StrCat("cannot read data set: ", cause, "; file=", path, kRemedy));
}

// Returns the path of `name` in `directory`, plain or with ".gz".
absl::StatusOr<std::string> FindFile(const std::string& directory, const std::string& name) {
  const std::string plain = JoinPath(directory, name);
  if (FileExists(plain)) return plain;
  const std::string compressed = plain + ".gz";
  if (FileExists(compressed)) return compressed;
  return absl::NotFoundError(absl::StrCat("cannot read data set: no file ", name, " or ", name,
                                          ".gz; directory=", directory, kRemedy));
}

uint32_t BigEndian(const uint8_t* bytes) {
  return static_cast<uint32_t>(bytes[0]) << 24 | static_cast<uint32_t>(bytes[1]) << 16 |
         static_cast<uint32_t>(bytes[2]) << 8 | static_cast<uint32_t>(bytes[3]);
}

// Reads the header: checks `magic` and fills `dimensions`.
absl::Status ReadHeader(InflatingFile& file, uint32_t magic, absl::Span<uint32_t> dimensions) {
  std::vector<uint8_t> header(4 + 4 * dimensions.size());
  DISTILL_ASSIGN_OR_RETURN(const size_t got, file.Read(absl::MakeSpan(header)));
  if (got < header.size()) {
    return BadFile(file.path(), absl::StrCat("the header is cut short; got_bytes=", got,
                                             " want_bytes=", header.size()));
  }
  const uint32_t found = BigEndian(header.data());
  if (found != magic) {
    return BadFile(file.path(),
                   absl::StrCat("wrong magic number; got=0x", absl::Hex(found, absl::kZeroPad8),
                                " want=0x", absl::Hex(magic, absl::kZeroPad8)));
  }
  for (size_t i = 0; i < dimensions.size(); ++i) {
    dimensions[i] = BigEndian(header.data() + 4 + 4 * i);
  }
  return absl::OkStatus();
}

// Reads exactly `size` bytes, which must be all that is left. Sets no memory aside before the file
// has been seen to be large enough.
absl::StatusOr<std::vector<uint8_t>> ReadBody(InflatingFile& file, uint64_t size) {
  if (size > file.MaxDecodedBytes()) {
    return BadFile(file.path(), absl::StrCat("the file is cut short: its header declares more than "
                                             "it can hold; declared_bytes=",
                                             size));
  }
  std::vector<uint8_t> body(size);
  DISTILL_ASSIGN_OR_RETURN(const size_t got, file.Read(absl::MakeSpan(body)));
  if (got < size) {
    return BadFile(file.path(), absl::StrCat("the file is cut short; got_bytes=", got,
                                             " declared_bytes=", size));
  }
  std::array<uint8_t, 1> extra{};
  DISTILL_ASSIGN_OR_RETURN(const size_t trailing, file.Read(absl::MakeSpan(extra)));
  if (trailing != 0) {
    return BadFile(file.path(), absl::StrCat("bytes follow the last entry; declared_bytes=", size));
  }
  return body;
}

struct IdxImages {
  uint32_t count = 0;
  ImageShape shape;
  std::vector<uint8_t> pixels;
};

absl::StatusOr<IdxImages> ReadImages(const std::string& path, uint64_t max_bytes) {
  DISTILL_ASSIGN_OR_RETURN(InflatingFile file, InflatingFile::Open(path));
  std::array<uint32_t, 3> dimensions{};
  DISTILL_RETURN_IF_ERROR(ReadHeader(file, kImagesMagic, absl::MakeSpan(dimensions)));
  const auto [count, height, width] = dimensions;
  if (count == 0 || height == 0 || width == 0 || height > kMostSide || width > kMostSide) {
    return BadFile(path, absl::StrCat("impossible sizes; images=", count, " height=", height,
                                      " width=", width));
  }
  const uint64_t image_bytes = uint64_t{height} * width;
  if (count > max_bytes / image_bytes) {
    return BadFile(path,
                   absl::StrCat("the images exceed the size limit; images=", count,
                                " bytes_per_image=", image_bytes, " limit_bytes=", max_bytes));
  }
  IdxImages images;
  images.count = count;
  images.shape = {1, static_cast<int>(height), static_cast<int>(width)};
  DISTILL_ASSIGN_OR_RETURN(images.pixels, ReadBody(file, count * image_bytes));
  return images;
}

absl::StatusOr<std::vector<uint8_t>> ReadLabels(const std::string& path, uint64_t max_bytes) {
  DISTILL_ASSIGN_OR_RETURN(InflatingFile file, InflatingFile::Open(path));
  std::array<uint32_t, 1> dimensions{};
  DISTILL_RETURN_IF_ERROR(ReadHeader(file, kLabelsMagic, absl::MakeSpan(dimensions)));
  if (dimensions[0] > max_bytes) {
    return BadFile(path, absl::StrCat("the labels exceed the size limit; labels=", dimensions[0],
                                      " limit_bytes=", max_bytes));
  }
  return ReadBody(file, dimensions[0]);
}

absl::Status CheckLabels(const std::string& path, const std::vector<uint8_t>& labels, int classes) {
  std::vector<int64_t> counts(static_cast<size_t>(classes));
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] >= classes) {
      return BadFile(path, absl::StrCat("label is out of range; entry=", i, " label=",
                                        static_cast<int>(labels[i]), " classes=", classes));
    }
    ++counts[labels[i]];
  }
  for (size_t c = 0; c < counts.size(); ++c) {
    if (counts[c] == 0) {
      return BadFile(path, absl::StrCat("a class has no image; class=", c, " classes=", classes));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Dataset>> ReadIdxDataset(const IdxSource& source) {
  if (source.classes < 0 || source.classes > 256) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot read data set: number of classes must be 1 to 256, or 0 to take it from the "
        "labels; classes=",
        source.classes));
  }
  const std::string stem = source.split == Split::kTrain ? "train" : "t10k";
  DISTILL_ASSIGN_OR_RETURN(const std::string images_path,
                           FindFile(source.directory, stem + "-images-idx3-ubyte"));
  DISTILL_ASSIGN_OR_RETURN(const std::string labels_path,
                           FindFile(source.directory, stem + "-labels-idx1-ubyte"));
  DISTILL_ASSIGN_OR_RETURN(std::vector<uint8_t> labels, ReadLabels(labels_path, source.max_bytes));
  if (labels.empty()) return BadFile(labels_path, "no label");
  const int classes =
      source.classes != 0 ? source.classes : 1 + *std::max_element(labels.begin(), labels.end());
  DISTILL_RETURN_IF_ERROR(CheckLabels(labels_path, labels, classes));
  DISTILL_ASSIGN_OR_RETURN(IdxImages images, ReadImages(images_path, source.max_bytes));
  if (images.count != labels.size()) {
    return BadFile(labels_path, absl::StrCat("the number of labels differs from that of images; "
                                             "labels=",
                                             labels.size(), " images=", images.count,
                                             " images_file=", images_path));
  }
  return MemoryDataset::Create(images.shape, classes, std::move(images.pixels), std::move(labels));
}

}  // namespace distill::data
