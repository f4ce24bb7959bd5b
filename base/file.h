// The few file operations that durable state needs, with errors that name the path and the cause.
// errno maps to: ENOENT kNotFound, EEXIST kAlreadyExists, ENOSPC/EDQUOT kResourceExhausted,
// EACCES/EPERM kPermissionDenied, everything else kInternal. All functions block; none is for gRPC
// threads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace distill {

// Maps an errno to a Status whose message is "cannot <action> <path>: <strerror>".
absl::Status ErrnoStatus(int error, absl::string_view action, absl::string_view path);

absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t max_bytes = 1ULL << 30);
// Replaces `path` atomically and durably: temporary file beside it, fdatasync, rename, fsync of the
// directory.
absl::Status WriteFileAtomically(const std::string& path, absl::string_view bytes);
// Same, for contents that come in pieces:
//
//   DISTILL_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
//   DISTILL_RETURN_IF_ERROR(file.Append(bytes));
//   DISTILL_RETURN_IF_ERROR(file.Commit());  // Only now does `path` change.
//
// One thread at a time. A crash may leave a "<path>.tmp-XXXXXX" behind, never a torn `path`.
class AtomicFile {
 public:
  static absl::StatusOr<AtomicFile> Create(const std::string& path);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&& other) noexcept;
  // Discards what was written unless Commit() returned OK.
  ~AtomicFile();

  absl::Status Append(absl::string_view bytes);
  // Makes the file durable and visible. Call once. After an error `path` is as it was, except when
  // only the final fsync of the directory failed: then it may be either, and is never torn.
  absl::Status Commit();

 private:
  AtomicFile(std::string path, std::string temporary, int descriptor);

  std::string path_;
  std::string temporary_;  // Empty once renamed.
  int descriptor_ = -1;
};

absl::Status SyncFile(const std::string& path);
absl::Status SyncDirectory(const std::string& directory);
absl::Status RenameDurably(const std::string& from, const std::string& to);
absl::Status CreateDirectories(const std::string& directory);
absl::Status RemoveFile(const std::string& path);       // OK when it is not there.
absl::Status RemoveTree(const std::string& directory);  // OK when it is not there.
bool FileExists(const std::string& path);
absl::StatusOr<uint64_t> FileSize(const std::string& path);
absl::StatusOr<std::vector<std::string>> ListDirectory(
    const std::string& directory);  // Sorted names.
absl::StatusOr<uint64_t> FreeDiskBytes(const std::string& path);
std::string JoinPath(absl::string_view directory, absl::string_view name);

// Holds an exclusive flock until destroyed. kFailedPrecondition when another process has it.
class FileLock {
 public:
  static absl::StatusOr<FileLock> Acquire(const std::string& path);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

}  // namespace distill
