// Walks from the end record over the central directory to each entry's own header (PKWARE APPNOTE
// 6.3, sections 4.3 and 4.4).
#include "storage/tensor/stored_zip.h"

#include <zlib.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace distill::storage {
namespace {

constexpr size_t kEndBytes = 22;
constexpr size_t kEnd64Bytes = 56;
constexpr size_t kLocatorBytes = 20;
constexpr size_t kCentralBytes = 46;
constexpr size_t kLocalBytes = 30;
constexpr size_t kMaxCommentBytes = 65535;
constexpr uint16_t kEncryptedFlag = 1;
constexpr uint16_t kDescriptorFlag = 8;  // Sizes follow the data instead of standing before it.
constexpr uint32_t kIn64 = 0xffffffff;   // The value is in the zip64 field.
constexpr uint16_t kZip64Field = 1;

absl::Status Malformed(absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat("zip archive is malformed: ", reason));
}

absl::Status Truncated(absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat("zip archive is truncated, fetch the file again: ", what));
}

std::string Quoted(absl::string_view name) {
  return absl::StrCat("\"", absl::CHexEscape(name.substr(0, 80)), "\"");
}

// A little-endian number of `size` bytes; the caller has checked that they are there.
uint64_t Number(absl::string_view bytes, size_t at, size_t size) {
  uint64_t value = 0;
  for (size_t i = size; i > 0; --i) {
    value = (value << 8) | static_cast<unsigned char>(bytes[at + i - 1]);
  }
  return value;
}

struct Directory {
  uint64_t entries = 0;
  uint64_t size = 0;
  uint64_t offset = 0;
};

// Finds the end record, which a comment of unknown length may follow.
absl::StatusOr<size_t> FindEnd(absl::string_view archive) {
  if (!absl::StartsWith(archive, absl::string_view("PK\x03\x04", 4))) {
    return absl::InvalidArgumentError("not a zip archive");
  }
  const size_t least = archive.size() > kEndBytes + kMaxCommentBytes
                           ? archive.size() - kEndBytes - kMaxCommentBytes
                           : 0;
  for (size_t at = archive.size() < kEndBytes ? 0 : archive.size() - kEndBytes + 1; at > least;) {
    --at;
    if (archive.substr(at, 4) == absl::string_view("PK\x05\x06", 4) &&
        at + kEndBytes + Number(archive, at + 20, 2) == archive.size()) {
      return at;
    }
  }
  return Truncated("its directory is missing");
}

absl::StatusOr<Directory> ReadEnd64(absl::string_view archive, size_t end) {
  if (end < kLocatorBytes ||
      archive.substr(end - kLocatorBytes, 4) != absl::string_view("PK\x06\x07", 4)) {
    return Malformed("the zip64 locator is missing");
  }
  const uint64_t at = Number(archive, end - kLocatorBytes + 8, 8);
  if (at > end - kLocatorBytes || end - kLocatorBytes - at < kEnd64Bytes ||
      archive.substr(at, 4) != absl::string_view("PK\x06\x06", 4)) {
    return Malformed("the zip64 end record is not where it should be");
  }
  if (Number(archive, at + 16, 4) != 0 || Number(archive, at + 20, 4) != 0) {
    return Malformed("it has several parts");
  }
  return Directory{Number(archive, at + 32, 8), Number(archive, at + 40, 8),
                   Number(archive, at + 48, 8)};
}

absl::StatusOr<Directory> ReadEnd(absl::string_view archive) {
  DISTILL_ASSIGN_OR_RETURN(const size_t end, FindEnd(archive));
  Directory directory = {Number(archive, end + 10, 2), Number(archive, end + 12, 4),
                         Number(archive, end + 16, 4)};
  const uint64_t part = Number(archive, end + 4, 2);
  if (directory.entries == 0xffff || directory.size == kIn64 || directory.offset == kIn64) {
    DISTILL_ASSIGN_OR_RETURN(directory, ReadEnd64(archive, end));
  } else if (part != 0 || Number(archive, end + 6, 2) != 0) {
    return Malformed("it has several parts");
  }
  if (directory.offset > end || directory.size > end - directory.offset) {
    return Truncated("its directory lies outside the file");
  }
  if (directory.entries > kMaxZipEntries || directory.entries * kCentralBytes > directory.size) {
    return Malformed(absl::StrCat("impossible number of entries; got=", directory.entries));
  }
  return directory;
}

// One entry as the central directory has it.
struct CentralEntry {
  std::string name;
  uint16_t flags = 0;
  uint32_t crc32 = 0;
  uint64_t size = 0;
  uint64_t stored_size = 0;
  uint64_t offset = 0;
  bool is_compressed = false;
};

// Replaces values that did not fit by those of the zip64 field, which has only these, in order.
absl::Status ReadZip64(absl::string_view extra, CentralEntry* entry) {
  while (extra.size() >= 4) {
    const uint64_t kind = Number(extra, 0, 2), size = Number(extra, 2, 2);
    if (extra.size() - 4 < size) break;
    absl::string_view field = extra.substr(4, size);
    extra.remove_prefix(4 + size);
    if (kind != kZip64Field) continue;
    for (uint64_t* value : {&entry->size, &entry->stored_size, &entry->offset}) {
      if (*value != kIn64) continue;
      if (field.size() < 8) {
        return Malformed(absl::StrCat("zip64 field is too short; entry=", Quoted(entry->name)));
      }
      *value = Number(field, 0, 8);
      field.remove_prefix(8);
    }
  }
  return absl::OkStatus();
}

// Takes one entry off the front of `directory`.
absl::StatusOr<CentralEntry> ReadCentral(absl::string_view* directory) {
  if (directory->size() < kCentralBytes ||
      directory->substr(0, 4) != absl::string_view("PK\x01\x02", 4)) {
    return Malformed("an entry of its directory is cut off");
  }
  const uint64_t name = Number(*directory, 28, 2), extra = Number(*directory, 30, 2),
                 comment = Number(*directory, 32, 2);
  if (directory->size() - kCentralBytes < name + extra + comment) {
    return Malformed("an entry of its directory is cut off");
  }
  CentralEntry entry;
  entry.name = std::string(directory->substr(kCentralBytes, name));
  entry.flags = static_cast<uint16_t>(Number(*directory, 8, 2));
  entry.crc32 = static_cast<uint32_t>(Number(*directory, 16, 4));
  entry.stored_size = Number(*directory, 20, 4);
  entry.size = Number(*directory, 24, 4);
  entry.offset = Number(*directory, 42, 4);
  const uint64_t method = Number(*directory, 10, 2);
  if (name == 0 || name > kMaxZipNameBytes) return Malformed("an entry has an impossible name");
  DISTILL_RETURN_IF_ERROR(ReadZip64(directory->substr(kCentralBytes + name, extra), &entry));
  directory->remove_prefix(kCentralBytes + name + extra + comment);
  entry.is_compressed = method != 0;
  if (!entry.is_compressed && entry.size != entry.stored_size) {
    return Malformed(absl::StrCat("a stored entry has two sizes; entry=", Quoted(entry.name)));
  }
  if ((entry.flags & kEncryptedFlag) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("zip entry is encrypted; entry=", Quoted(entry.name)));
  }
  return entry;
}

// Where the entry's bytes begin, past its own header, which must agree with the directory.
absl::StatusOr<uint64_t> DataBegin(absl::string_view archive, const CentralEntry& entry) {
  if (entry.offset > archive.size() || archive.size() - entry.offset < kLocalBytes) {
    return Truncated(absl::StrCat("entry=", Quoted(entry.name)));
  }
  const absl::string_view local = archive.substr(entry.offset);
  const uint64_t name = Number(local, 26, 2), extra = Number(local, 28, 2);
  if (local.substr(0, 4) != absl::string_view("PK\x03\x04", 4) ||
      local.substr(kLocalBytes, name) != entry.name) {
    return Malformed(
        absl::StrCat("directory and header of an entry differ; entry=", Quoted(entry.name)));
  }
  const uint64_t stored = Number(local, 18, 4);
  if ((entry.flags & kDescriptorFlag) == 0 && stored != kIn64 && stored != entry.stored_size) {
    return Malformed(
        absl::StrCat("directory and header of an entry differ; entry=", Quoted(entry.name)));
  }
  const uint64_t begin = kLocalBytes + name + extra;
  if (begin > local.size() || local.size() - begin < entry.stored_size) {
    return Truncated(absl::StrCat("entry=", Quoted(entry.name)));
  }
  return entry.offset + begin;
}

struct Range {
  uint64_t begin = 0;
  uint64_t end = 0;
};

bool Overlap(std::vector<Range> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
  for (size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].begin < ranges[i - 1].end) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<std::map<std::string, ZipEntry>> ReadStoredZip(absl::string_view archive) {
  DISTILL_ASSIGN_OR_RETURN(const Directory directory, ReadEnd(archive));
  absl::string_view rest = archive.substr(directory.offset, directory.size);
  std::map<std::string, ZipEntry> entries;
  std::vector<Range> ranges = {{directory.offset, archive.size()}};
  for (uint64_t i = 0; i < directory.entries; ++i) {
    DISTILL_ASSIGN_OR_RETURN(const CentralEntry entry, ReadCentral(&rest));
    DISTILL_ASSIGN_OR_RETURN(const uint64_t begin, DataBegin(archive, entry));
    ranges.push_back({entry.offset, begin + entry.stored_size});
    if (!entries
             .emplace(entry.name, ZipEntry{archive.substr(begin, entry.stored_size), entry.crc32,
                                           entry.is_compressed})
             .second) {
      return Malformed(absl::StrCat("an entry stands twice; entry=", Quoted(entry.name)));
    }
  }
  if (!rest.empty()) return Malformed("its directory has more entries than it says");
  if (Overlap(std::move(ranges))) return Malformed("entries overlap");
  return entries;
}

absl::Status CheckCrc32(absl::string_view name, const ZipEntry& entry) {
  const uLong crc = crc32_z(crc32_z(0, nullptr, 0),
                            reinterpret_cast<const Bytef*>(entry.bytes.data()), entry.bytes.size());
  if (crc == entry.crc32) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(
      "zip entry is corrupt, its checksum does not match; fetch the file again; entry=",
      Quoted(name)));
}

}  // namespace distill::storage
