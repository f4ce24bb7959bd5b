// Reads the binary version of CIFAR-10 and CIFAR-100: records of one label byte (CIFAR-100: two,
// coarse and fine) and 3072 bytes of pixels, red, green and blue planes of 32 by 32.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/data/dataset.h"
#include "worker/data/idx_reader.h"

namespace distill::data {

enum class CifarKind { kCifar10, kCifar100 };

struct CifarSource {
  std::string directory;
  CifarKind kind = CifarKind::kCifar10;
  Split split = Split::kTrain;
  // 0: 10 or 100, as the kind says. Smaller: labels must be below.
  int classes = 0;
  uint64_t max_bytes = uint64_t{2} << 30;
};

// Returns the split, read whole into memory: data_batch_{1..5}.bin or test_batch.bin; train.bin or
// test.bin, fine labels. Errors name the file and the record:
//   kNotFound         a file is missing
//   kInvalidArgument  a file is empty, does not end with a whole record or is too large, a label is
//                     out of range, a class has no image
absl::StatusOr<std::unique_ptr<Dataset>> ReadCifarDataset(const CifarSource& source);

// The names in batches.meta.txt or fine_label_names.txt; none when there is no such file.
absl::StatusOr<std::vector<std::string>> ReadCifarClassNames(const std::string& directory,
                                                             CifarKind kind);

}  // namespace distill::data
