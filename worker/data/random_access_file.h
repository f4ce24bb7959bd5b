// Reads parts of a file by their place.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace distill::data {

// Thread-safe.
class RandomAccessFile {
 public:
  // Errors as base/file.h maps errno; kInvalidArgument for anything but a regular file.
  static absl::StatusOr<RandomAccessFile> Open(const std::string& path);
  RandomAccessFile(RandomAccessFile&& other) noexcept;
  RandomAccessFile& operator=(RandomAccessFile&& other) noexcept;
  ~RandomAccessFile();

  // When it was opened.
  uint64_t size() const { return size_; }
  // Fills `out`. kDataLoss when the file ends before that. Blocks.
  absl::Status ReadAt(uint64_t offset, absl::Span<uint8_t> out) const;

 private:
  RandomAccessFile(std::string path, int descriptor, uint64_t size);

  std::string path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

}  // namespace distill::data
