#include "storage/tensor/file_bytes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"

namespace distill::storage {

absl::StatusOr<std::unique_ptr<const FileBytes>> FileBytes::Map(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return ErrnoStatus(errno, "open", path);
  struct stat info {};
  int error = fstat(descriptor, &info) == 0 ? 0 : errno;
  if (error == 0 && !S_ISREG(info.st_mode)) error = EISDIR;
  const size_t size = static_cast<size_t>(info.st_size);
  void* address = MAP_FAILED;
  if (error == 0 && size > 0) {
    address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (address == MAP_FAILED) error = errno;
  }
  close(descriptor);  // The mapping stays.
  if (error != 0) return ErrnoStatus(error, "map", path);
  if (size == 0) return std::make_unique<const FileBytes>(std::string());
  const absl::string_view mapping(static_cast<const char*>(address), size);
  return std::unique_ptr<const FileBytes>(new FileBytes(mapping));
}

FileBytes::~FileBytes() {
  if (mapped_) munmap(const_cast<char*>(bytes_.data()), bytes_.size());
}

}  // namespace distill::storage
