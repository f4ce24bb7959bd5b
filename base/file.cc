// The system calls behind base/file.h. Every descriptor is close-on-exec; EINTR is retried.
#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"

namespace distill {
namespace {

// Closes a descriptor on every path out of a function.
class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

int OpenRetrying(const std::string& path, int flags) {
  int descriptor = -1;
  do {
    descriptor = open(path.c_str(), flags | O_CLOEXEC, 0644);
  } while (descriptor < 0 && errno == EINTR);
  return descriptor;
}

std::string ParentDirectory(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::Status WriteAll(int descriptor, absl::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "write", path);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ErrnoStatus(int error, absl::string_view action, absl::string_view path) {
  const std::string message =
      absl::StrCat("cannot ", action, " ", path, ": ", std::system_category().message(error));
  switch (error) {
    case ENOENT:
      return absl::NotFoundError(message);
    case EEXIST:
      return absl::AlreadyExistsError(message);
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(
          absl::StrCat(message, "; free some space there or point to a larger disk"));
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(message);
    default:
      return absl::InternalError(message);
  }
}

absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t max_bytes) {
  const Descriptor descriptor(OpenRetrying(path, O_RDONLY));
  if (descriptor.get() < 0) return ErrnoStatus(errno, "open", path);
  struct stat info {};
  if (fstat(descriptor.get(), &info) != 0) return ErrnoStatus(errno, "stat", path);
  if (S_ISDIR(info.st_mode)) return ErrnoStatus(EISDIR, "read", path);
  // The size is only a hint: files of /proc say 0, others may grow meanwhile.
  std::string bytes;
  bytes.reserve(
      static_cast<size_t>(std::min<uint64_t>(static_cast<uint64_t>(info.st_size), max_bytes)));
  std::string buffer(64 << 10, '\0');
  while (true) {
    const ssize_t got = read(descriptor.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "read", path);
    if (got == 0) return bytes;
    if (bytes.size() + static_cast<size_t>(got) > max_bytes) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "cannot read ", path, ": file is larger than allowed; max_bytes=", max_bytes));
    }
    bytes.append(buffer.data(), static_cast<size_t>(got));
  }
}

absl::Status WriteFileAtomically(const std::string& path, absl::string_view bytes) {
  DISTILL_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  DISTILL_RETURN_IF_ERROR(file.Append(bytes));
  return file.Commit();
}

absl::StatusOr<AtomicFile> AtomicFile::Create(const std::string& path) {
  std::string temporary = absl::StrCat(path, ".tmp-XXXXXX");
  const int descriptor = mkostemp(temporary.data(), O_CLOEXEC);
  if (descriptor < 0) return ErrnoStatus(errno, "create", temporary);
  return AtomicFile(path, std::move(temporary), descriptor);
}

AtomicFile::AtomicFile(std::string path, std::string temporary, int descriptor)
    : path_(std::move(path)), temporary_(std::move(temporary)), descriptor_(descriptor) {}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, "")),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

AtomicFile& AtomicFile::operator=(AtomicFile&& other) noexcept {
  path_.swap(other.path_);
  temporary_.swap(other.temporary_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

absl::Status AtomicFile::Append(absl::string_view bytes) {
  return WriteAll(descriptor_, bytes, temporary_);
}

absl::Status AtomicFile::Commit() {
  if (fchmod(descriptor_, 0644) != 0) return ErrnoStatus(errno, "set mode of", temporary_);
  if (fdatasync(descriptor_) != 0) return ErrnoStatus(errno, "sync", temporary_);
  if (close(std::exchange(descriptor_, -1)) != 0) return ErrnoStatus(errno, "close", temporary_);
  if (rename(temporary_.c_str(), path_.c_str()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("rename ", temporary_, " to"), path_);
  }
  temporary_.clear();
  return SyncDirectory(ParentDirectory(path_));
}

absl::Status SyncFile(const std::string& path) {
  const Descriptor descriptor(OpenRetrying(path, O_RDONLY));
  if (descriptor.get() < 0) return ErrnoStatus(errno, "open", path);
  if (fdatasync(descriptor.get()) != 0) return ErrnoStatus(errno, "sync", path);
  return absl::OkStatus();
}

absl::Status SyncDirectory(const std::string& directory) {
  const Descriptor descriptor(OpenRetrying(directory, O_RDONLY | O_DIRECTORY));
  if (descriptor.get() < 0) return ErrnoStatus(errno, "open directory", directory);
  if (fsync(descriptor.get()) != 0) return ErrnoStatus(errno, "sync directory", directory);
  return absl::OkStatus();
}

absl::Status RenameDurably(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("rename ", from, " to"), to);
  }
  const std::string target_directory = ParentDirectory(to);
  DISTILL_RETURN_IF_ERROR(SyncDirectory(target_directory));
  const std::string source_directory = ParentDirectory(from);
  if (source_directory == target_directory) return absl::OkStatus();
  return SyncDirectory(source_directory);
}

absl::Status CreateDirectories(const std::string& directory) {
  if (directory.empty()) return absl::InvalidArgumentError("cannot create directory: empty path");
  if (mkdir(directory.c_str(), 0755) == 0) return SyncDirectory(ParentDirectory(directory));
  int error = errno;
  if (error == ENOENT) {
    const std::string parent = ParentDirectory(std::string(absl::StripSuffix(directory, "/")));
    DISTILL_RETURN_IF_ERROR(CreateDirectories(parent));
    if (mkdir(directory.c_str(), 0755) == 0) return SyncDirectory(parent);
    error = errno;
  }
  struct stat info {};
  if (error == EEXIST && stat(directory.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    return absl::OkStatus();
  }
  return ErrnoStatus(error, "create directory", directory);
}

absl::Status RemoveFile(const std::string& path) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoStatus(errno, "remove", path);
  return absl::OkStatus();
}

absl::Status RemoveTree(const std::string& directory) {
  std::error_code error;
  std::filesystem::remove_all(directory, error);
  if (error) return ErrnoStatus(error.value(), "remove", directory);
  return absl::OkStatus();
}

bool FileExists(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0;
}

absl::StatusOr<uint64_t> FileSize(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, "stat", path);
  return static_cast<uint64_t>(info.st_size);
}

absl::StatusOr<std::vector<std::string>> ListDirectory(const std::string& directory) {
  DIR* stream = opendir(directory.c_str());
  if (stream == nullptr) return ErrnoStatus(errno, "list", directory);
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* entry = readdir(stream);
    if (entry == nullptr) break;
    const absl::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  const int error = errno;
  closedir(stream);
  if (error != 0) return ErrnoStatus(error, "list", directory);
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<uint64_t> FreeDiskBytes(const std::string& path) {
  struct statvfs info {};
  if (statvfs(path.c_str(), &info) != 0) return ErrnoStatus(errno, "read free space of", path);
  return static_cast<uint64_t>(info.f_bavail) * static_cast<uint64_t>(info.f_frsize);
}

std::string JoinPath(absl::string_view directory, absl::string_view name) {
  if (directory.empty()) return std::string(name);
  return absl::StrCat(absl::StripSuffix(directory, "/"), "/", absl::StripPrefix(name, "/"));
}

absl::StatusOr<FileLock> FileLock::Acquire(const std::string& path) {
  const int descriptor = OpenRetrying(path, O_RDWR | O_CREAT);
  if (descriptor < 0) return ErrnoStatus(errno, "open", path);
  FileLock lock(descriptor);
  if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno == EWOULDBLOCK) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot lock ", path,
                     ": another process has it; end that process or use another directory"));
  }
  return ErrnoStatus(errno, "lock", path);
}

FileLock::FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace distill
