// Files as the blob stores use them: opened without following links, read and written at offsets.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/digest.h"

namespace distill::storage {

// A file descriptor that closes itself.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~Descriptor();
  int get() const { return descriptor_; }
  bool open() const { return descriptor_ >= 0; }

 private:
  int descriptor_ = -1;
};

// Opens a regular file. Errors: those of base/file.h; a link or a folder is an error.
absl::StatusOr<Descriptor> OpenFile(const std::string& path, int flags);
// Returns the size of a regular file; nullopt when there is none of that name.
absl::StatusOr<std::optional<uint64_t>> RegularFileSize(const std::string& path);
// Returns how many bytes were read: fewer than `size` only at the end of the file.
absl::StatusOr<size_t> ReadAt(int descriptor, uint64_t offset, char* out, size_t size,
                              const std::string& path);
absl::Status WriteAt(int descriptor, uint64_t offset, absl::string_view bytes,
                     const std::string& path);
// Hashes what is in the file into `builder`. Returns how many bytes that were.
absl::StatusOr<uint64_t> HashFile(int descriptor, const std::string& path, DigestBuilder& builder);

}  // namespace distill::storage
