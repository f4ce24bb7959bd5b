// Which files make up a data set: those that its format reads, by their names, so that a copy of a
// folder holds nothing else that lies there.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "distill/v1/job.pb.h"

namespace distill::server {

struct DatasetFile {
  std::string name;  // Below the data set's folder: "train/n01443537/images/a.JPEG".
  uint64_t size_bytes = 0;
  int64_t modified_nanoseconds = 0;

  friend bool operator==(const DatasetFile& a, const DatasetFile& b) {
    return a.name == b.name && a.size_bytes == b.size_bytes &&
           a.modified_nanoseconds == b.modified_nanoseconds;
  }
};

// In order of name. Follows links, as the readers do, but not in circles. Blocks on the disk.
// kNotFound when the folder is missing; kResourceExhausted above `most_files` or 32 folders deep;
// errors of the disk.
absl::StatusOr<std::vector<DatasetFile>> ListDatasetFiles(const std::string& path,
                                                          v1::DatasetFormat format,
                                                          size_t most_files);

}  // namespace distill::server
