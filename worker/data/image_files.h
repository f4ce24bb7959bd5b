// A data set whose images are files below one folder, read when they are asked for.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "worker/data/dataset.h"

namespace distill::data {

// Larger image files are corrupt: no photograph is, and reading one costs memory.
constexpr uint64_t kMostImageFileBytes = uint64_t{256} << 20;

// The names of many files in little memory, each with a number.
class NameTable {
 public:
  // `max_bytes` bounds the memory.
  explicit NameTable(uint64_t max_bytes) : max_bytes_(max_bytes) {}

  // kInvalidArgument when the table is full.
  absl::Status Add(absl::string_view name, int label);
  int64_t size() const { return static_cast<int64_t>(labels_.size()); }
  absl::string_view Name(int64_t index) const;
  int Label(int64_t index) const { return labels_[static_cast<size_t>(index)]; }

 private:
  uint64_t max_bytes_;
  std::string names_;  // One after the other.
  std::vector<uint64_t> ends_;
  std::vector<int32_t> labels_;
};

// Checks that labels are in [0, classes) and that each class has an image. `what` names the split
// in errors: "folder=/data/train".
absl::Status CheckClasses(const NameTable& table, int classes,
                          const std::vector<std::string>& class_names, absl::string_view what);

class ImageFiles : public Dataset {
 public:
  // Names are paths below `folder`. Requires labels in [0, classes).
  ImageFiles(std::string folder, NameTable files, int classes);

  int64_t size() const override { return files_.size(); }
  int classes() const override { return classes_; }
  const ImageShape& shape() const override { return shape_; }
  int64_t Label(int64_t index) const override;
  // Must not be called: images may differ in size.
  absl::Status Read(int64_t index, absl::Span<uint8_t> pixels) const override;
  // kDataLoss for a file that is too large; errors of opening otherwise.
  absl::Status Fetch(int64_t index, StoredImage* image) const override;
  std::string NameOf(int64_t index) const override;
  absl::Status VisitFiles(
      absl::FunctionRef<absl::Status(const std::string& path)> visit) const override;

 private:
  const std::string folder_;
  const NameTable files_;
  const int classes_;
  const ImageShape shape_{3, 0, 0};
};

// Whether the name ends as JPEG and PNG files do, in any case.
bool HasImageEnding(absl::string_view name);
// Whether a path that a file gives stays below the folder it is relative to.
bool IsPathBelow(absl::string_view path);

}  // namespace distill::data
