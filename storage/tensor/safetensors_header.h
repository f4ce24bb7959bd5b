// The JSON header of a safetensors file, read without trust in any of its numbers.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/tensor/tensor_view.h"

namespace distill::storage {

// Limits of the reader and of the writer alike. The first is the one of the reference
// implementation; the others are far above any model and bound what a hostile header may cost.
inline constexpr uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;
inline constexpr size_t kMaxTensors = 1'000'000;
inline constexpr size_t kMaxTensorNameBytes = 512;
inline constexpr size_t kMaxTensorRank = 64;
inline constexpr absl::string_view kMetadataKey = "__metadata__";

struct SafetensorsEntry {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  uint64_t begin = 0;  // Counted from the end of the header.
  uint64_t end = 0;
};

struct SafetensorsHeader {
  std::map<std::string, SafetensorsEntry> entries;
  std::map<std::string, std::string> metadata;
};

// Reads the JSON text and checks all that can be known without the file: the grammar, no key
// twice, no key unknown, every range as long as dtype and shape say, and the ranges together
// covering [0, data_size) without gap or overlap. Errors: kInvalidArgument, or kDataLoss when the
// ranges reach beyond data_size; messages are a reason without the file's name.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view json,
                                                         uint64_t data_size);

// Writes it: keys in order, no spaces but the padding to a multiple of 8 bytes at the end.
std::string FormatSafetensorsHeader(const SafetensorsHeader& header);

}  // namespace distill::storage
