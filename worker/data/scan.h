// Reads all images of a data set once and says what is in it: what a server records of a data set
// before jobs may use it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/digest.h"
#include "worker/data/dataset.h"
#include "worker/data/dataset_factory.h"

namespace distill::data {

struct CorruptImage {
  std::string name;    // As Dataset::NameOf().
  std::string reason;  // One sentence part, without the name.
};

struct ScanOptions {
  CorruptImagePolicy corrupt_images = CorruptImagePolicy::kFail;
  // Threads that decode; at least 1. The result does not depend on it.
  int threads = 1;
  // Called now and then, by one thread at a time, with the images read so far and in all. Returning
  // false ends the scan with kCancelled. May be empty.
  std::function<bool(int64_t done, int64_t total)> progress;
};

// Of one split.
struct SplitFacts {
  Digest digest;  // ContentDigest.
  // All images, the corrupt ones too: size() of the data set.
  int64_t images = 0;
  std::vector<int64_t> images_per_class;  // Likewise.
  // Images that cannot be decoded; the first 1000 by index are named. Empty unless skipped.
  int64_t corrupt_images_total = 0;
  std::vector<CorruptImage> corrupt_images;
  // Over the images that can be decoded.
  int smallest_height = 0;
  int largest_height = 0;
  int smallest_width = 0;
  int largest_width = 0;
  ChannelStatistics statistics;  // Every pixel counts alike.
  int64_t stored_bytes = 0;      // As Fetch() gives them.
};

// Reads and decodes every image; memory does not grow with their number. Errors: those of reading;
// kDataLoss naming the first corrupt image (by index) under kFail; kInvalidArgument when none is
// sound.
absl::StatusOr<SplitFacts> ScanImages(const Dataset& dataset, const ScanOptions& options);

// What a job needs to know of a data set before anything is trained on it.
struct DatasetFacts {
  Digest digest;  // PairDigest of the two splits.
  // Shape of every image; height and width are 0 when they differ.
  ImageShape shape;
  int classes = 0;
  std::vector<std::string> class_names;  // May be empty.
  int64_t train_images = 0;
  int64_t test_images = 0;
  SplitFacts train;  // All zeros when there are only test images.
  SplitFacts test;
};

// OpenDataset, then ScanImages of both splits, one after the other; `done` and `total` of the
// progress count the images of both. A data set whose images are files of one size has that shape
// here although Dataset::shape() does not know it.
absl::StatusOr<DatasetFacts> InspectDataset(const DatasetOptions& files,
                                            const ScanOptions& options = {});

}  // namespace distill::data
