// Bytes that stay where they are as long as their owner lives: a mapped file, or a string.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace distill::storage {

// Immutable, so thread-safe.
class FileBytes {
 public:
  // Maps a regular file, which must not be changed meanwhile; pages are read when touched. Errors:
  // those of base/file.h.
  static absl::StatusOr<std::unique_ptr<const FileBytes>> Map(const std::string& path);

  explicit FileBytes(std::string bytes) : owned_(std::move(bytes)), bytes_(owned_) {}
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;
  ~FileBytes();

  absl::string_view bytes() const { return bytes_; }

 private:
  // Takes over a mapping.
  explicit FileBytes(absl::string_view mapping) : bytes_(mapping), mapped_(true) {}

  const std::string owned_;
  const absl::string_view bytes_;
  const bool mapped_ = false;
};

}  // namespace distill::storage
