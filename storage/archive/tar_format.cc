#include "storage/archive/tar_format.h"

#include <algorithm>
#include <cstdio>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace distill::storage {
namespace {

// Offsets and lengths of ustar's fields.
struct Field {
  size_t offset;
  size_t length;
};
constexpr Field kName = {0, 100};
constexpr Field kMode = {100, 8};
constexpr Field kUser = {108, 8};
constexpr Field kGroup = {116, 8};
constexpr Field kSize = {124, 12};
constexpr Field kTime = {136, 12};
constexpr Field kChecksum = {148, 8};
constexpr size_t kKind = 156;
constexpr Field kMagic = {257, 8};
constexpr Field kPrefix = {345, 155};
constexpr absl::string_view kMagicText("ustar\00000", 8);

void Put(Field field, absl::string_view text, std::string* block) {
  DISTILL_CHECK(text.size() <= field.length, "a tar field holds what is written to it");
  block->replace(field.offset, text.size(), text.data(), text.size());
}

// Octal digits that end with a NUL.
std::string Octal(uint64_t value, size_t length) {
  char text[32];
  const int written = std::snprintf(text, sizeof(text), "%0*llo", static_cast<int>(length) - 1,
                                    static_cast<unsigned long long>(value));
  return std::string(text, static_cast<size_t>(written));
}

absl::string_view Get(Field field, absl::string_view block) {
  const absl::string_view text = block.substr(field.offset, field.length);
  return text.substr(0, text.find('\0'));
}

absl::StatusOr<uint64_t> GetOctal(Field field, absl::string_view block) {
  absl::string_view text = Get(field, block);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  uint64_t value = 0;
  for (const char digit : text) {
    if (digit < '0' || digit > '7') {
      return absl::DataLossError("cannot read tar file: a number is not octal");
    }
    value = value * 8 + static_cast<uint64_t>(digit - '0');
  }
  return value;
}

uint64_t Checksum(absl::string_view block) {
  uint64_t sum = 0;
  for (size_t i = 0; i < block.size(); ++i) {
    const bool in_checksum = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.length;
    sum += in_checksum ? uint64_t{' '} : static_cast<unsigned char>(block[i]);
  }
  return sum;
}

}  // namespace

absl::Status CheckTarName(absl::string_view name) {
  const auto refuse = [&](absl::string_view reason) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot use file name: ", reason,
                     "; name=", name.substr(0, std::min<size_t>(name.size(), 200))));
  };
  if (name.empty() || name.size() > kMostTarNameBytes) return refuse("it is empty or too long");
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < ' ' || c == 127)
      return refuse("it has a control character");
  }
  for (const absl::string_view part : absl::StrSplit(name, '/')) {
    if (part.empty() || part == "." || part == "..") {
      return refuse("it is not a plain path below its folder");
    }
  }
  return absl::OkStatus();
}

std::string EncodeTarHeader(const TarHeader& header) {
  std::string block(kTarBlockBytes, '\0');
  Put(kName, header.name, &block);
  Put(kMode, Octal(0644, kMode.length), &block);
  Put(kUser, Octal(0, kUser.length), &block);
  Put(kGroup, Octal(0, kGroup.length), &block);
  Put(kSize, Octal(header.size_bytes, kSize.length), &block);
  Put(kTime, Octal(0, kTime.length), &block);
  block[kKind] = static_cast<char>(header.kind);
  Put(kMagic, kMagicText, &block);
  Put(kChecksum, absl::StrCat(Octal(Checksum(block), 7), absl::string_view("\0 ", 2)), &block);
  return block;
}

absl::StatusOr<TarHeader> DecodeTarHeader(absl::string_view block) {
  DISTILL_CHECK(block.size() == kTarBlockBytes, "a tar header is one block");
  DISTILL_ASSIGN_OR_RETURN(const uint64_t checksum, GetOctal(kChecksum, block));
  if (checksum != Checksum(block) || Get(kMagic, block).substr(0, 5) != "ustar") {
    return absl::DataLossError("cannot read tar file: a header is damaged");
  }
  TarHeader header;
  DISTILL_ASSIGN_OR_RETURN(header.size_bytes, GetOctal(kSize, block));
  const char kind = block[kKind];
  if (kind != static_cast<char>(TarEntryKind::kFile) &&
      kind != static_cast<char>(TarEntryKind::kPaxHeader)) {
    return absl::DataLossError("cannot read tar file: an entry is no regular file");
  }
  header.kind = static_cast<TarEntryKind>(kind);
  const absl::string_view prefix = Get(kPrefix, block);
  header.name = std::string(Get(kName, block));
  if (!prefix.empty()) header.name = absl::StrCat(prefix, "/", header.name);
  return header;
}

std::string EncodePaxName(absl::string_view name) {
  const std::string rest = absl::StrCat(" path=", name, "\n");
  // The length counts its own digits.
  size_t length = rest.size() + 1;
  while (absl::StrCat(length).size() + rest.size() != length) ++length;
  return absl::StrCat(length, rest);
}

absl::StatusOr<std::string> DecodePaxName(absl::string_view content) {
  constexpr absl::string_view kKey = "path=";
  const absl::Status bad = absl::DataLossError("cannot read tar file: a pax header gives no name");
  const size_t space = content.find(' ');
  uint64_t length = 0;
  if (space == absl::string_view::npos || !absl::SimpleAtoi(content.substr(0, space), &length) ||
      length != content.size() || content.back() != '\n') {
    return bad;
  }
  const absl::string_view record = content.substr(space + 1, content.size() - space - 2);
  if (record.substr(0, kKey.size()) != kKey) return bad;
  return std::string(record.substr(kKey.size()));
}

}  // namespace distill::storage
