// The tar blocks that the writer makes and the reader accepts: POSIX ustar with regular files only,
// and pax headers for names that ustar has no room for. Nothing of a file but its name and its
// bytes is kept, so that the same files always give the same archive.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace distill::storage {

inline constexpr size_t kTarBlockBytes = 512;
inline constexpr size_t kMostTarNameBytes = 4096;

enum class TarEntryKind : char { kFile = '0', kPaxHeader = 'x' };

struct TarHeader {
  std::string name;
  uint64_t size_bytes = 0;
  TarEntryKind kind = TarEntryKind::kFile;
};

// kInvalidArgument unless `name` is a relative path that stays below its folder: 1 to 4096 bytes,
// parts separated by single slashes, none of them empty, "." or "..", and no control characters.
absl::Status CheckTarName(absl::string_view name);

// One block. Requires a checked name of at most 100 bytes.
std::string EncodeTarHeader(const TarHeader& header);
// kDataLoss for a block that is no header of the two kinds, or whose checksum is wrong.
absl::StatusOr<TarHeader> DecodeTarHeader(absl::string_view block);
// The content of a pax header that gives the next file its name, and back. kDataLoss when there is
// anything else in it.
std::string EncodePaxName(absl::string_view name);
absl::StatusOr<std::string> DecodePaxName(absl::string_view content);
// How many zeros follow content of this size.
inline size_t TarPaddingBytes(uint64_t size_bytes) {
  return static_cast<size_t>((kTarBlockBytes - size_bytes % kTarBlockBytes) % kTarBlockBytes);
}

}  // namespace distill::storage
