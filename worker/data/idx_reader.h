// Reads data sets in the IDX format of MNIST and Fashion-MNIST: one file of images and one of
// labels per split, plain or gzip-compressed. Trusts nothing that a header says.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "worker/data/dataset.h"

namespace distill::data {

enum class Split { kTrain, kTest };

struct IdxSource {
  // Holds {train,t10k}-images-idx3-ubyte and {train,t10k}-labels-idx1-ubyte, each with or without
  // ".gz"; the plain file wins when both are there. Debian's dataset-fashion-mnist installs here.
  std::string directory = "/usr/share/datasets/fashion-mnist";
  Split split = Split::kTrain;
  // Labels must be in [0, classes), 1 to 256; 0 takes the largest label plus one.
  int classes = 0;
  // Upper bound on the decoded images; a file that declares more is refused unread.
  uint64_t max_bytes = uint64_t{2} << 30;
};

// Returns the split as grey images of one channel, read whole into memory. Blocks on the disk.
// Errors name the file, the entry where one is at fault, and a remedy:
//   kNotFound         a file is missing
//   kInvalidArgument  wrong magic number, sizes of zero or above the bound, a file that is cut
//                     short, damaged or too long, counts that differ, a label out of range, an
//                     empty class
absl::StatusOr<std::unique_ptr<Dataset>> ReadIdxDataset(const IdxSource& source);

}  // namespace distill::data
