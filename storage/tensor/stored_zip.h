// The directory of a zip archive whose entries are to be used as they are stored, without
// compression, as PyTorch writes them. Read without trust: offsets and sizes are checked against
// the file and each other.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace distill::storage {

// Far above any checkpoint; they bound what a hostile directory may cost.
inline constexpr uint64_t kMaxZipEntries = 1'000'000;
inline constexpr size_t kMaxZipNameBytes = 4096;

struct ZipEntry {
  absl::string_view bytes;     // Within the archive, as they stand there.
  uint32_t crc32 = 0;          // As the directory says; see CheckCrc32.
  bool is_compressed = false;  // Then `bytes` are of no use.
};

// Returns the entries by name. The archive must outlive them. Messages are a reason without the
// file's name. Errors: kDataLoss for an archive that ends too early; kInvalidArgument when it is no
// zip, has several parts, or an entry that is encrypted, named twice, at odds with its own header,
// or overlapping another.
absl::StatusOr<std::map<std::string, ZipEntry>> ReadStoredZip(absl::string_view archive);

// kDataLoss when the bytes are not those that were archived. Reads them all.
absl::Status CheckCrc32(absl::string_view name, const ZipEntry& entry);

}  // namespace distill::storage
