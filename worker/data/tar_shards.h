// A data set in tar files, as WebDataset packs them: NAME.jpg (or .jpeg, .png) beside NAME.cls,
// which holds the label in decimal digits. The tar files are looked through once, when the data set
// is opened, and never unpacked.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/data/dataset.h"
#include "worker/data/image_files.h"

namespace distill::data {

// Where the images of a split lie.
struct TarShardIndex {
  struct Place {
    uint64_t offset = 0;
    uint32_t size = 0;
    int32_t shard = 0;
  };

  explicit TarShardIndex(uint64_t max_bytes) : images(max_bytes) {}

  std::vector<std::string> shards;  // Paths.
  NameTable images;                 // Entries' names, with their labels.
  std::vector<Place> places;        // One for each name.
};

// Looks through the files, in order. The parts of a sample follow one another; other parts of it
// than those above are passed over. kInvalidArgument names the tar file and the entry: a damaged
// tar file (tar_index.h), a sample without image or label, two images in one sample, a label that
// is no number from 0 to 99999, an image larger than an image file may be, an index beyond
// `max_bytes`.
absl::StatusOr<TarShardIndex> IndexTarShards(std::vector<std::string> shards, uint64_t max_bytes);

class TarShards : public Dataset {
 public:
  // Requires labels in [0, classes).
  TarShards(TarShardIndex index, int classes);

  int64_t size() const override { return index_.images.size(); }
  int classes() const override { return classes_; }
  const ImageShape& shape() const override { return shape_; }
  int64_t Label(int64_t index) const override;
  // Must not be called: images may differ in size.
  absl::Status Read(int64_t index, absl::Span<uint8_t> pixels) const override;
  absl::Status Fetch(int64_t index, StoredImage* image) const override;
  // "<tar file>:<entry>".
  std::string NameOf(int64_t index) const override;
  absl::Status VisitFiles(
      absl::FunctionRef<absl::Status(const std::string& path)> visit) const override;

 private:
  const TarShardIndex index_;
  const int classes_;
  const ImageShape shape_{3, 0, 0};
};

}  // namespace distill::data
