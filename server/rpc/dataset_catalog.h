// What the server knows of data sets: reads a folder once, on the thread that asks, and remembers
// the answer until a file there changes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "distill/v1/job.pb.h"
#include "server/planner/defaults.h"

namespace distill::server {

// Thread-safe.
class DatasetCatalog {
 public:
  // Returns what the job's data set holds. Blocks: reads every image the first time.
  // kInvalidArgument "cannot accept job: dataset.path: ..." when the files are missing, damaged, or
  // do not fit together. A folder that this machine does not have is taken on trust when the spec
  // gives digest, image_size, channels, classes and train_size: workers check the digest.
  absl::StatusOr<DatasetInfo> Inspect(const v1::DatasetSpec& dataset) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Name, size and modification time of each file of a folder.
  struct FileStamp {
    std::string name;
    uint64_t size_bytes = 0;
    int64_t modified_nanoseconds = 0;
    friend bool operator==(const FileStamp& a, const FileStamp& b) {
      return a.name == b.name && a.size_bytes == b.size_bytes &&
             a.modified_nanoseconds == b.modified_nanoseconds;
    }
  };
  struct Entry {
    std::vector<FileStamp> stamps;
    DatasetInfo info;
  };
  using Key = std::pair<std::string, int>;  // Folder and number of classes asked for.

  static absl::StatusOr<std::vector<FileStamp>> StampFolder(const std::string& path);

  Mutex mu_;
  std::map<Key, Entry> entries_ ABSL_GUARDED_BY(mu_);
};

}  // namespace distill::server
