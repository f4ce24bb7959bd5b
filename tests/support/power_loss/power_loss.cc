// A library for LD_PRELOAD: stands before the calls of libc that change files, and keeps in a
// journal what a loss of power would undo (undo_journal.h). What libc does within itself it cannot
// see: stdio on a watched file, which nobody needs, ends the process.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <optional>
#include <string>

#include "tests/support/power_loss/libc.h"
#include "tests/support/power_loss/undo_journal.h"

namespace {

using distill::MutexLock;
using distill::power_loss::Die;
using distill::power_loss::UndoJournal;

// Runs `change` of a file's bytes behind its record, which `add` makes.
template <class Add, class Change>
auto ChangeBytes(int descriptor, Add add, Change change) {
  UndoJournal* const journal = UndoJournal::Get();
  if (journal == nullptr || !journal->Watches(descriptor)) return change();
  const MutexLock lock(journal->mutex());
  add(*journal);
  return change();
}

template <class Change>
auto Write(int descriptor, std::optional<off_t> offset, size_t length, Change change) {
  const auto add = [&](UndoJournal& journal) { journal.AddWrite(descriptor, offset, length); };
  return ChangeBytes(descriptor, add, change);
}

template <class Change>
int Truncate(int descriptor, off_t size, Change change) {
  const auto add = [&](UndoJournal& journal) { journal.AddTruncate(descriptor, size); };
  return ChangeBytes(descriptor, add, change);
}

// Runs `change` of names behind its record. Below a lock on the journal.
template <class Change>
int ChangeNames(UndoJournal& journal, uint64_t position, Change change) {
  const int result = change();
  const int error = errno;
  if (result < 0) journal.AddVoid(position);
  errno = error;
  return result;
}

template <class Change>
int Create(int folder, const char* path, Change change) {
  UndoJournal* const journal = UndoJournal::Get();
  const std::string within = journal == nullptr ? "" : journal->PathWithin(folder, path);
  if (within.empty()) return change();
  const MutexLock lock(journal->mutex());
  struct stat info {};
  if (lstat(journal->Absolute(within).c_str(), &info) == 0) return change();  // It will refuse.
  return ChangeNames(*journal, journal->AddCreate(within), change);
}

template <class Change>
int Remove(int folder, const char* path, Change change) {
  UndoJournal* const journal = UndoJournal::Get();
  const std::string within = journal == nullptr ? "" : journal->PathWithin(folder, path);
  if (within.empty()) return change();
  const MutexLock lock(journal->mutex());
  struct stat info {};
  if (lstat(journal->Absolute(within).c_str(), &info) != 0) return change();
  return ChangeNames(*journal, journal->AddRemove(within), change);
}

template <class Change>
int Rename(int from_folder, const char* from, int to_folder, const char* to, Change change) {
  UndoJournal* const journal = UndoJournal::Get();
  if (journal == nullptr) return change();
  const std::string old_path = journal->PathWithin(from_folder, from);
  const std::string new_path = journal->PathWithin(to_folder, to);
  if (old_path.empty() && new_path.empty()) return change();
  if (old_path.empty() || new_path.empty()) Die("cannot watch a move in or out", to);
  const MutexLock lock(journal->mutex());
  struct stat info {};
  if (lstat(journal->Absolute(old_path).c_str(), &info) != 0) return change();
  return ChangeNames(*journal, journal->AddRename(old_path, new_path), change);
}

template <class Change>
int Open(int folder, const char* path, int flags, Change change) {
  UndoJournal* const journal = UndoJournal::Get();
  const bool changes = (flags & (O_CREAT | O_TRUNC)) != 0 && (flags & O_TMPFILE) != O_TMPFILE;
  const std::string within =
      journal == nullptr || !changes ? "" : journal->PathWithin(folder, path);
  if (within.empty()) return change();
  const MutexLock lock(journal->mutex());
  struct stat info {};
  if (lstat(journal->Absolute(within).c_str(), &info) != 0) {
    return (flags & O_CREAT) == 0 ? change()
                                  : ChangeNames(*journal, journal->AddCreate(within), change);
  }
  if ((flags & O_TRUNC) == 0 || (flags & O_EXCL) != 0 || !S_ISREG(info.st_mode)) return change();
  static const auto real_open = DISTILL_LIBC(open);
  const int old = real_open(journal->Absolute(within).c_str(), O_RDONLY | O_CLOEXEC);
  if (old < 0) Die("cannot read what is truncated", path);
  journal->AddTruncate(old, 0);
  close(old);
  return change();
}

template <class Change>
int Sync(int descriptor, bool all, Change change) {
  UndoJournal* const journal = UndoJournal::Get();
  if (journal == nullptr) return change();
  const std::optional<UndoJournal::Record> sync = journal->BeginSync(descriptor, all);
  const int result = change();
  if (result == 0 && sync.has_value()) journal->EndSync(*sync);
  return result;
}

// As mkostemp(), which would open the file within libc.
int OpenTemporary(char* path, int flags) {
  constexpr char kLetters[] = "abcdefghijklmnopqrstuvwxyz012345";
  const size_t size = strlen(path);
  if (size < 6 || strcmp(path + size - 6, "XXXXXX") != 0) {
    errno = EINVAL;
    return -1;
  }
  while (true) {
    unsigned char random[6];
    if (getrandom(random, sizeof(random), 0) != sizeof(random)) continue;
    for (size_t i = 0; i < sizeof(random); ++i) path[size - 6 + i] = kLetters[random[i] % 32];
    const int descriptor = open(path, (flags & ~O_ACCMODE) | O_RDWR | O_CREAT | O_EXCL, 0600);
    if (descriptor >= 0 || errno != EEXIST) return descriptor;
  }
}

void RefuseStdio(const char* path, const char* mode) {
  UndoJournal* const journal = UndoJournal::Get();
  if (journal == nullptr || strpbrk(mode, "wa+") == nullptr) return;
  if (!journal->PathWithin(AT_FDCWD, path).empty()) Die("stdio cannot be watched", path);
}

mode_t ModeOf(int flags, va_list rest) {
  return (flags & O_CREAT) == 0 && (flags & O_TMPFILE) != O_TMPFILE ? 0 : va_arg(rest, mode_t);
}

size_t LengthOf(const iovec* parts, int count) {
  size_t length = 0;
  for (int i = 0; i < count; ++i) length += parts[i].iov_len;
  return length;
}

}  // namespace

#define DISTILL_OPEN(name)                                                       \
  int name(const char* path, int flags, ...) {                                   \
    static const auto real = DISTILL_LIBC(name);                                 \
    va_list rest;                                                                \
    va_start(rest, flags);                                                       \
    const mode_t mode = ModeOf(flags, rest);                                     \
    va_end(rest);                                                                \
    return Open(AT_FDCWD, path, flags, [&] { return real(path, flags, mode); }); \
  }
#define DISTILL_OPENAT(name)                                                           \
  int name(int folder, const char* path, int flags, ...) {                             \
    static const auto real = DISTILL_LIBC(name);                                       \
    va_list rest;                                                                      \
    va_start(rest, flags);                                                             \
    const mode_t mode = ModeOf(flags, rest);                                           \
    va_end(rest);                                                                      \
    return Open(folder, path, flags, [&] { return real(folder, path, flags, mode); }); \
  }
#define DISTILL_FOPEN(name)                        \
  FILE* name(const char* path, const char* mode) { \
    static const auto real = DISTILL_LIBC(name);   \
    RefuseStdio(path, mode);                       \
    return real(path, mode);                       \
  }
#define DISTILL_PWRITE(name)                                                           \
  ssize_t name(int file, const void* bytes, size_t size, off_t offset) {               \
    static const auto real = DISTILL_LIBC(name);                                       \
    return Write(file, offset, size, [&] { return real(file, bytes, size, offset); }); \
  }
#define DISTILL_PWRITEV(name)                                           \
  ssize_t name(int file, const iovec* parts, int count, off_t offset) { \
    static const auto real = DISTILL_LIBC(name);                        \
    return Write(file, offset, LengthOf(parts, count),                  \
                 [&] { return real(file, parts, count, offset); });     \
  }
#define DISTILL_FTRUNCATE(name)                                    \
  int name(int file, off_t size) noexcept {                        \
    static const auto real = DISTILL_LIBC(name);                   \
    return Truncate(file, size, [&] { return real(file, size); }); \
  }
#define DISTILL_TRUNCATE(name)                         \
  int name(const char* path, off_t size) noexcept {    \
    const int file = open(path, O_WRONLY | O_CLOEXEC); \
    if (file < 0) return -1;                           \
    const int result = ftruncate(file, size);          \
    const int error = errno;                           \
    close(file);                                       \
    errno = error;                                     \
    return result;                                     \
  }
// Blocks that are taken beyond the end make the file longer, as a write of zeros does.
#define DISTILL_FALLOCATE(name)                                   \
  int name(int file, int mode, off_t offset, off_t size) {        \
    static const auto real = DISTILL_LIBC(name);                  \
    return Write(file, offset, static_cast<size_t>(size),         \
                 [&] { return real(file, mode, offset, size); }); \
  }
#define DISTILL_POSIX_FALLOCATE(name)                       \
  int name(int file, off_t offset, off_t size) {            \
    static const auto real = DISTILL_LIBC(name);            \
    return Write(file, offset, static_cast<size_t>(size),   \
                 [&] { return real(file, offset, size); }); \
  }
#define DISTILL_SENDFILE(name)                                                          \
  ssize_t name(int to, int from, off_t* offset, size_t size) noexcept {                 \
    static const auto real = DISTILL_LIBC(name);                                        \
    return Write(to, std::nullopt, size, [&] { return real(to, from, offset, size); }); \
  }

extern "C" {

DISTILL_OPEN(open)
DISTILL_OPEN(open64)
DISTILL_OPENAT(openat)
DISTILL_OPENAT(openat64)
DISTILL_FOPEN(fopen)
DISTILL_FOPEN(fopen64)
DISTILL_PWRITE(pwrite)
DISTILL_PWRITE(pwrite64)
DISTILL_PWRITEV(pwritev)
DISTILL_PWRITEV(pwritev64)
DISTILL_FTRUNCATE(ftruncate)
DISTILL_FTRUNCATE(ftruncate64)
DISTILL_TRUNCATE(truncate)
DISTILL_TRUNCATE(truncate64)
DISTILL_FALLOCATE(fallocate)
DISTILL_FALLOCATE(fallocate64)
DISTILL_POSIX_FALLOCATE(posix_fallocate)
DISTILL_POSIX_FALLOCATE(posix_fallocate64)
DISTILL_SENDFILE(sendfile)
DISTILL_SENDFILE(sendfile64)

int creat(const char* path, mode_t mode) { return open(path, O_WRONLY | O_CREAT | O_TRUNC, mode); }
int creat64(const char* path, mode_t mode) { return creat(path, mode); }
int mkostemp(char* path, int flags) { return OpenTemporary(path, flags); }
int mkostemp64(char* path, int flags) { return OpenTemporary(path, flags); }
int mkstemp(char* path) { return OpenTemporary(path, 0); }
int mkstemp64(char* path) { return OpenTemporary(path, 0); }

ssize_t write(int file, const void* bytes, size_t size) {
  static const auto real = DISTILL_LIBC(write);
  return Write(file, std::nullopt, size, [&] { return real(file, bytes, size); });
}

ssize_t writev(int file, const iovec* parts, int count) {
  static const auto real = DISTILL_LIBC(writev);
  return Write(file, std::nullopt, LengthOf(parts, count),
               [&] { return real(file, parts, count); });
}

ssize_t copy_file_range(int from, off64_t* from_offset, int to, off64_t* to_offset, size_t size,
                        unsigned int flags) {
  static const auto real = DISTILL_LIBC(copy_file_range);
  const std::optional<off_t> offset =
      to_offset == nullptr ? std::nullopt : std::optional<off_t>(*to_offset);
  return Write(to, offset, size,
               [&] { return real(from, from_offset, to, to_offset, size, flags); });
}

int mkdir(const char* path, mode_t mode) noexcept {
  static const auto real = DISTILL_LIBC(mkdir);
  return Create(AT_FDCWD, path, [&] { return real(path, mode); });
}

int mkdirat(int folder, const char* path, mode_t mode) noexcept {
  static const auto real = DISTILL_LIBC(mkdirat);
  return Create(folder, path, [&] { return real(folder, path, mode); });
}

int link(const char* from, const char* to) noexcept {
  static const auto real = DISTILL_LIBC(link);
  return Create(AT_FDCWD, to, [&] { return real(from, to); });
}

int linkat(int from_folder, const char* from, int to_folder, const char* to, int flags) noexcept {
  static const auto real = DISTILL_LIBC(linkat);
  return Create(to_folder, to, [&] { return real(from_folder, from, to_folder, to, flags); });
}

int symlink(const char* target, const char* path) noexcept {
  static const auto real = DISTILL_LIBC(symlink);
  return Create(AT_FDCWD, path, [&] { return real(target, path); });
}

int unlink(const char* path) noexcept {
  static const auto real = DISTILL_LIBC(unlink);
  return Remove(AT_FDCWD, path, [&] { return real(path); });
}

int unlinkat(int folder, const char* path, int flags) noexcept {
  static const auto real = DISTILL_LIBC(unlinkat);
  return Remove(folder, path, [&] { return real(folder, path, flags); });
}

int rmdir(const char* path) noexcept {
  static const auto real = DISTILL_LIBC(rmdir);
  return Remove(AT_FDCWD, path, [&] { return real(path); });
}

int remove(const char* path) noexcept {
  static const auto real = DISTILL_LIBC(remove);
  return Remove(AT_FDCWD, path, [&] { return real(path); });
}

int rename(const char* from, const char* to) noexcept {
  static const auto real = DISTILL_LIBC(rename);
  return Rename(AT_FDCWD, from, AT_FDCWD, to, [&] { return real(from, to); });
}

int renameat(int from_folder, const char* from, int to_folder, const char* to) noexcept {
  static const auto real = DISTILL_LIBC(renameat);
  return Rename(from_folder, from, to_folder, to,
                [&] { return real(from_folder, from, to_folder, to); });
}

int fsync(int file) {
  static const auto real = DISTILL_LIBC(fsync);
  return Sync(file, /*all=*/false, [&] { return real(file); });
}

int fdatasync(int file) {
  static const auto real = DISTILL_LIBC(fdatasync);
  return Sync(file, /*all=*/false, [&] { return real(file); });
}

int syncfs(int file) noexcept {
  static const auto real = DISTILL_LIBC(syncfs);
  return Sync(file, /*all=*/true, [&] { return real(file); });
}

}  // extern "C"
