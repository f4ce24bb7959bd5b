#include "tests/support/power_loss/undo_journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/support/power_loss/libc.h"

namespace distill::power_loss {
namespace {

struct Header {
  uint32_t kind;
  uint32_t path_bytes;
  uint32_t target_bytes;
  uint32_t reserved;
  uint64_t data_bytes;
  uint64_t inode;
  uint64_t offset;
  uint64_t length;
  uint64_t old_size;
};

std::string RealPath(const std::string& path) {
  char real[PATH_MAX];
  return realpath(path.c_str(), real) == nullptr ? std::string() : std::string(real);
}

std::string PathOf(int descriptor) {
  char path[PATH_MAX];
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  const ssize_t size = readlink(link.c_str(), path, sizeof(path));
  return size <= 0 ? std::string() : std::string(path, static_cast<size_t>(size));
}

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// Empty for what is not below.
std::string Within(const std::string& folder, const std::string& path) {
  const bool below = path.size() > folder.size() + 1 && path[folder.size()] == '/' &&
                     path.compare(0, folder.size(), folder) == 0;
  return below && !EndsWith(path, "-shm") ? path.substr(folder.size() + 1) : std::string();
}

int OpenJournal(const char* path) {
  static const auto real = DISTILL_LIBC(open);
  const int journal = real(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (journal < 0) Die("cannot open its journal", path);
  return journal;
}

// The descriptor may be for writing only.
std::string Read(int descriptor, uint64_t offset, uint64_t length) {
  static const auto real_open = DISTILL_LIBC(open);
  std::string bytes(length, '\0');
  if (length == 0) return bytes;
  const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  const int reader = real_open(path.c_str(), O_RDONLY | O_CLOEXEC);
  uint64_t got = 0;
  while (reader >= 0 && got < length) {
    const ssize_t part =
        pread(reader, bytes.data() + got, length - got, static_cast<off_t>(offset + got));
    if (part <= 0) break;
    got += static_cast<uint64_t>(part);
  }
  if (got != length) Die("cannot read old bytes", path.c_str());
  close(reader);
  return bytes;
}

struct stat Examine(int descriptor) {
  struct stat info {};
  if (fstat(descriptor, &info) != 0) Die("cannot examine a file", PathOf(descriptor).c_str());
  return info;
}

}  // namespace

void Die(const char* what, const char* path) {
  fprintf(stderr, "power loss: %s: %s: %s\n", what, path, strerror(errno));
  abort();
}

UndoJournal* UndoJournal::Get() {
  // Never destroyed: programs write until their very end.
  static UndoJournal* const journal = [] {
    const char* const folder = getenv("DISTILL_POWER_LOSS_DIR");
    const char* const path = getenv("DISTILL_POWER_LOSS_JOURNAL");
    return folder == nullptr || path == nullptr ? nullptr : new UndoJournal(folder, path);
  }();
  return journal;
}

UndoJournal::UndoJournal(const char* folder, const char* journal)
    : folder_(RealPath(folder)),
      kept_(std::string(journal) + ".kept"),
      journal_(OpenJournal(journal)) {
  static const auto real_mkdir = DISTILL_LIBC(mkdir);
  if (folder_.empty()) Die("cannot find the folder", folder);
  if (real_mkdir(kept_.c_str(), 0700) != 0 && errno != EEXIST) {
    Die("cannot create a folder", kept_.c_str());
  }
}

std::string UndoJournal::PathWithin(int folder, const char* path) const {
  std::string full = path;
  if (full.empty()) return full;
  if (full[0] != '/') full = (folder == AT_FDCWD ? RealPath(".") : PathOf(folder)) + "/" + full;
  while (full.size() > 1 && full.back() == '/') full.pop_back();
  const size_t slash = full.rfind('/');
  return Within(folder_, RealPath(full.substr(0, std::max<size_t>(slash, 1))) + full.substr(slash));
}

bool UndoJournal::Watches(int descriptor) const {
  // A log on the standard streams belongs to who started the program.
  if (descriptor <= STDERR_FILENO || descriptor == journal_) return false;
  struct stat info {};
  return fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode) &&
         !Within(folder_, PathOf(descriptor)).empty();
}

uint64_t UndoJournal::Position() const {
  return static_cast<uint64_t>(lseek(journal_, 0, SEEK_END));
}

uint64_t UndoJournal::Add(const Record& record) {
  static const auto real_write = DISTILL_LIBC(write);
  Header header{};
  header.kind = static_cast<uint32_t>(record.kind);
  header.path_bytes = static_cast<uint32_t>(record.path.size());
  header.target_bytes = static_cast<uint32_t>(record.target.size());
  header.data_bytes = record.bytes.size();
  header.inode = record.inode;
  header.offset = record.offset;
  header.length = record.length;
  header.old_size = record.old_size;
  std::string line(reinterpret_cast<const char*>(&header), sizeof(header));
  line += record.path;
  line += record.target;
  line += record.bytes;
  const uint64_t position = Position();
  if (real_write(journal_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
    Die("cannot write its journal", kept_.c_str());
  }
  return position;
}

uint64_t UndoJournal::AddWrite(int descriptor, std::optional<off_t> offset, uint64_t length) {
  const struct stat info = Examine(descriptor);
  Record record(Kind::kWrite);
  record.inode = info.st_ino;
  record.old_size = static_cast<uint64_t>(info.st_size);
  record.length = length;
  // With O_APPEND Linux ignores even the offset of pwrite().
  const bool appends = (fcntl(descriptor, F_GETFL) & O_APPEND) != 0;
  const off_t place = offset.has_value() ? *offset : lseek(descriptor, 0, SEEK_CUR);
  record.offset = appends ? record.old_size : static_cast<uint64_t>(place);
  const uint64_t end = std::min(record.offset + length, record.old_size);
  if (end > record.offset) record.bytes = Read(descriptor, record.offset, end - record.offset);
  return Add(record);
}

uint64_t UndoJournal::AddTruncate(int descriptor, off_t new_size) {
  const struct stat info = Examine(descriptor);
  Record record(Kind::kTruncate);
  record.inode = info.st_ino;
  record.old_size = static_cast<uint64_t>(info.st_size);
  record.offset = static_cast<uint64_t>(new_size);
  if (record.old_size > record.offset) {
    record.bytes = Read(descriptor, record.offset, record.old_size - record.offset);
  }
  return Add(record);
}

uint64_t UndoJournal::AddCreate(const std::string& path) {
  Record record(Kind::kCreate);
  record.path = path;
  return Add(record);
}

std::string UndoJournal::Keep(const std::string& path) {
  static const auto real_linkat = DISTILL_LIBC(linkat);
  static const auto real_unlink = DISTILL_LIBC(unlink);
  struct stat info {};
  if (lstat(Absolute(path).c_str(), &info) != 0 || S_ISDIR(info.st_mode)) return "";
  const std::string name = std::to_string(Position());
  const std::string kept = kept_ + "/" + name;
  // One may be there from a process that was killed before the record was written.
  real_unlink(kept.c_str());
  if (real_linkat(AT_FDCWD, Absolute(path).c_str(), AT_FDCWD, kept.c_str(), 0) != 0) {
    Die("cannot keep a file", path.c_str());
  }
  return name;
}

uint64_t UndoJournal::AddRemove(const std::string& path) {
  Record record(Kind::kRemove);
  record.path = path;
  record.target = Keep(path);
  return Add(record);
}

uint64_t UndoJournal::AddRename(const std::string& from, const std::string& to) {
  Record record(Kind::kRename);
  record.path = from;
  record.target = to;
  record.bytes = Keep(to);
  return Add(record);
}

void UndoJournal::AddVoid(uint64_t position) {
  Record record(Kind::kVoid);
  record.offset = position;
  Add(record);
}

std::optional<UndoJournal::Record> UndoJournal::BeginSync(int descriptor, bool all) {
  struct stat info {};
  if (fstat(descriptor, &info) != 0) return std::nullopt;
  const std::string path = PathOf(descriptor);
  const std::string within = path == folder_ ? "." : Within(folder_, path);
  Record record(Kind::kSyncFile);
  if (all) {
    // Of a file system: the folder is all on one.
    record.kind = Kind::kSyncAll;
  } else if (within.empty()) {
    return std::nullopt;
  } else if (S_ISDIR(info.st_mode)) {
    record.kind = Kind::kSyncFolder;
    record.path = within;
  } else {
    record.inode = info.st_ino;
  }
  const MutexLock lock(mutex_);
  record.offset = Position();
  return record;
}

void UndoJournal::EndSync(const Record& sync) {
  const MutexLock lock(mutex_);
  Add(sync);
}

}  // namespace distill::power_loss
