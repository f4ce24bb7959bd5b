// What a tensor is outside LibTorch: an element type, a shape and bytes.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace distill::storage {

enum class DType { kF64, kF32, kF16, kBF16, kI64, kI32, kI16, kI8, kU8, kBool };

// Returns the name that safetensors uses, e.g. "F32".
absl::string_view DTypeName(DType dtype);
// The inverse. kInvalidArgument for any other text, also in other case.
absl::StatusOr<DType> ParseDType(absl::string_view name);
uint64_t DTypeSizeBytes(DType dtype);

// Returns the bytes that a dense tensor takes; a shape of no dimensions is a scalar.
// kInvalidArgument for a negative dimension or a size above 2^63 - 1.
absl::StatusOr<uint64_t> TensorSizeBytes(DType dtype, const std::vector<int64_t>& shape);

// A dense, row-major, little-endian tensor whose bytes belong to someone else. The bytes may lie
// at any address: copy elements out with memcpy.
struct TensorView {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  absl::string_view bytes;
};

}  // namespace distill::storage
