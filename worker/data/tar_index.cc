#include "worker/data/tar_index.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace distill::data {
namespace {

constexpr uint64_t kBlock = 512;
constexpr uint64_t kMostNameBytes = 4096;
constexpr uint64_t kMostPaxBytes = 1 << 20;
constexpr uint64_t kMostFileBytes = uint64_t{1} << 62;

using Header = std::array<uint8_t, kBlock>;

// Fields of a header: place and length.
constexpr std::pair<size_t, size_t> kName{0, 100};
constexpr std::pair<size_t, size_t> kSize{124, 12};
constexpr std::pair<size_t, size_t> kChecksum{148, 8};
constexpr size_t kType = 156;
constexpr std::pair<size_t, size_t> kMagic{257, 5};
constexpr std::pair<size_t, size_t> kPrefix{345, 155};

absl::Status BadEntry(uint64_t offset, absl::string_view cause) {
  return absl::InvalidArgumentError(absl::StrCat(cause, "; offset=", offset));
}

absl::string_view Field(const Header& header, std::pair<size_t, size_t> field) {
  return absl::string_view(reinterpret_cast<const char*>(header.data()) + field.first,
                           field.second);
}

// Up to the first zero.
absl::string_view Text(absl::string_view field) { return field.substr(0, field.find('\0')); }

// Octal digits between spaces and zeros, or, when the first bit is set, a big-endian number.
std::optional<uint64_t> Number(absl::string_view field) {
  uint64_t value = 0;
  if ((static_cast<uint8_t>(field[0]) & 0x80) != 0) {
    if (static_cast<uint8_t>(field[0]) != 0x80) return std::nullopt;  // Negative, or huge.
    for (const char byte : field.substr(1)) {
      if (value >> 54 != 0) return std::nullopt;
      value = value << 8 | static_cast<uint8_t>(byte);
    }
    return value;
  }
  field = Text(field);
  while (!field.empty() && field.front() == ' ') field.remove_prefix(1);
  while (!field.empty() && field.back() == ' ') field.remove_suffix(1);
  for (const char digit : field) {
    if (digit < '0' || digit > '7' || value >> 58 != 0) return std::nullopt;
    value = value << 3 | static_cast<uint64_t>(digit - '0');
  }
  return value;
}

bool HasRightChecksum(const Header& header) {
  uint64_t sum = 0;
  for (size_t i = 0; i < header.size(); ++i) {
    const bool is_checksum = i >= kChecksum.first && i < kChecksum.first + kChecksum.second;
    sum += is_checksum ? uint8_t{' '} : header[i];
  }
  return Number(Field(header, kChecksum)) == sum;
}

// Records of a pax header: "<length> <key>=<value>\n".
struct PaxRecords {
  std::optional<std::string> path;
  std::optional<uint64_t> size;
};

absl::StatusOr<PaxRecords> ParsePax(uint64_t offset, absl::string_view text) {
  PaxRecords records;
  while (!text.empty()) {
    const size_t space = text.find(' ');
    uint64_t length = 0;
    if (space == text.npos || !absl::SimpleAtoi(text.substr(0, space), &length) ||
        length <= space + 1 || length > text.size() || text[length - 1] != '\n') {
      return BadEntry(offset, "a pax record is damaged");
    }
    const absl::string_view record = text.substr(space + 1, length - space - 2);
    const size_t equals = record.find('=');
    if (equals == record.npos) return BadEntry(offset, "a pax record is damaged");
    const absl::string_view key = record.substr(0, equals);
    const absl::string_view value = record.substr(equals + 1);
    if (key == "path") records.path = std::string(value);
    if (key == "size") {
      uint64_t size = 0;
      if (!absl::SimpleAtoi(value, &size) || size > kMostFileBytes) {
        return BadEntry(offset, "a pax record has an impossible size");
      }
      records.size = size;
    }
    text.remove_prefix(length);
  }
  return records;
}

// Walks the entries of one file.
class Walk {
 public:
  Walk(const RandomAccessFile& file, const std::function<absl::Status(const TarEntry&)>& visit)
      : file_(file), visit_(visit) {}

  absl::Status Run() {
    while (true) {
      if (file_.size() - offset_ < kBlock) {
        return BadEntry(offset_, "the tar file is cut short: it does not end with zeros");
      }
      Header header;
      DISTILL_RETURN_IF_ERROR(file_.ReadAt(offset_, absl::MakeSpan(header)));
      if (std::all_of(header.begin(), header.end(), [](uint8_t byte) { return byte == 0; })) {
        return absl::OkStatus();
      }
      DISTILL_RETURN_IF_ERROR(Visit(header));
    }
  }

 private:
  absl::Status Visit(const Header& header) {
    if (!HasRightChecksum(header)) return BadEntry(offset_, "a header has a wrong checksum");
    std::optional<uint64_t> size = Number(Field(header, kSize));
    const char type = static_cast<char>(header[kType]);
    const bool is_file = type == '0' || type == '\0' || type == '7';
    if (is_file && pax_.size.has_value()) size = pax_.size;
    if (type == '5') size = 0;  // Whatever a folder's header says.
    const uint64_t start = offset_ + kBlock;
    if (!size.has_value()) return BadEntry(offset_, "a header has an impossible size");
    if (*size > file_.size() - start) {
      return BadEntry(offset_, absl::StrCat("the tar file is cut short: an entry reaches beyond "
                                            "its end; entry=",
                                            NameOf(header), " bytes=", *size));
    }
    if (is_file) {
      TarEntry entry{NameOf(header), start, *size};
      if (entry.name.size() > kMostNameBytes) return BadEntry(offset_, "a name is too long");
      DISTILL_RETURN_IF_ERROR(visit_(entry));
    } else if (type == 'L' || type == 'x') {
      DISTILL_RETURN_IF_ERROR(ReadExtension(type, start, *size));
    } else if (type != '5' && type != 'g') {
      return BadEntry(offset_, absl::StrCat("an entry is neither file nor folder; entry=",
                                            NameOf(header), " type=", static_cast<int>(type)));
    }
    if (is_file || type == '5') {
      long_name_.reset();
      pax_ = PaxRecords();
    }
    const uint64_t padded = (*size + kBlock - 1) / kBlock * kBlock;
    offset_ = start + std::min(padded, file_.size() - start);
    return absl::OkStatus();
  }

  // What precedes an entry and speaks of it: a GNU long name or pax records.
  absl::Status ReadExtension(char type, uint64_t start, uint64_t size) {
    if (size > (type == 'L' ? kMostNameBytes : kMostPaxBytes)) {
      return BadEntry(offset_, "a name or pax header is too long");
    }
    std::vector<uint8_t> bytes(size);
    DISTILL_RETURN_IF_ERROR(file_.ReadAt(start, absl::MakeSpan(bytes)));
    const absl::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (type == 'L') {
      long_name_ = std::string(Text(text));
      return absl::OkStatus();
    }
    DISTILL_ASSIGN_OR_RETURN(pax_, ParsePax(offset_, text));
    return absl::OkStatus();
  }

  std::string NameOf(const Header& header) const {
    if (pax_.path.has_value()) return *pax_.path;
    if (long_name_.has_value()) return *long_name_;
    const absl::string_view name = Text(Field(header, kName));
    const absl::string_view prefix = Text(Field(header, kPrefix));
    if (Field(header, kMagic) != "ustar" || prefix.empty()) return std::string(name);
    // Before POSIX, GNU kept other things where the prefix is; then the magic ends with a space.
    if (header[kMagic.first + kMagic.second] == ' ') return std::string(name);
    return absl::StrCat(prefix, "/", name);
  }

  const RandomAccessFile& file_;
  const std::function<absl::Status(const TarEntry&)>& visit_;
  uint64_t offset_ = 0;
  std::optional<std::string> long_name_;
  PaxRecords pax_;
};

}  // namespace

absl::Status WalkTar(const RandomAccessFile& file,
                     const std::function<absl::Status(const TarEntry&)>& visit) {
  return Walk(file, visit).Run();
}

}  // namespace distill::data
