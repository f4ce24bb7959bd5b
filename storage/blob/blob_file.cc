#include "storage/blob/blob_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/file.h"
#include "base/status_macros.h"

namespace distill::storage {
namespace {

constexpr size_t kChunkBytes = 1 << 20;

}  // namespace

Descriptor::~Descriptor() {
  if (descriptor_ >= 0) close(descriptor_);
}

absl::StatusOr<Descriptor> OpenFile(const std::string& path, int flags) {
  Descriptor descriptor(open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!descriptor.open()) return ErrnoStatus(errno, "open", path);
  struct stat info {};
  if (fstat(descriptor.get(), &info) != 0) return ErrnoStatus(errno, "stat", path);
  if (!S_ISREG(info.st_mode)) return ErrnoStatus(EISDIR, "open", path);
  return descriptor;
}

absl::StatusOr<std::optional<uint64_t>> RegularFileSize(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return std::nullopt;
    return ErrnoStatus(errno, "stat", path);
  }
  if (!S_ISREG(info.st_mode)) return std::nullopt;
  return static_cast<uint64_t>(info.st_size);
}

absl::StatusOr<size_t> ReadAt(int descriptor, uint64_t offset, char* out, size_t size,
                              const std::string& path) {
  size_t total = 0;
  while (total < size) {
    const ssize_t got =
        pread(descriptor, out + total, size - total, static_cast<off_t>(offset + total));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "read", path);
    if (got == 0) break;
    total += static_cast<size_t>(got);
  }
  return total;
}

absl::Status WriteAt(int descriptor, uint64_t offset, absl::string_view bytes,
                     const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written =
        pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "write", path);
    bytes.remove_prefix(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> HashFile(int descriptor, const std::string& path, DigestBuilder& builder) {
  std::vector<char> buffer(kChunkBytes);
  uint64_t offset = 0;
  while (true) {
    DISTILL_ASSIGN_OR_RETURN(const size_t got,
                             ReadAt(descriptor, offset, buffer.data(), buffer.size(), path));
    builder.Append(absl::string_view(buffer.data(), got));
    offset += got;
    if (got < buffer.size()) return offset;
  }
}

}  // namespace distill::storage
