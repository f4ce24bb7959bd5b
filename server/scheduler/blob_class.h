// Classes of blobs, which are kept for different reasons and times, and the count of each.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace distill::server {

enum class BlobClass : size_t { kResult, kCheckpoint, kLog, kDataset };
inline constexpr size_t kBlobClasses = 4;

// `type` is the number of the protocol's ArtifactType; what has no class of its own is a result.
constexpr BlobClass ClassOfArtifact(int32_t type) {
  switch (type) {
    case 4:
      return BlobClass::kCheckpoint;
    case 5:
      return BlobClass::kLog;
    case 8:
      return BlobClass::kDataset;
    default:
      return BlobClass::kResult;
  }
}

// The value of the metric label `class`.
constexpr absl::string_view NameOf(BlobClass blob_class) {
  switch (blob_class) {
    case BlobClass::kResult:
      return "results";
    case BlobClass::kCheckpoint:
      return "checkpoints";
    case BlobClass::kLog:
      return "logs";
    case BlobClass::kDataset:
      return "datasets";
  }
  return "";
}

struct BlobTotal {
  int64_t count = 0;
  int64_t bytes = 0;
};
using BlobTotals = std::array<BlobTotal, kBlobClasses>;  // By BlobClass.

}  // namespace distill::server
