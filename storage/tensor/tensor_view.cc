// The table of element types.
#include "storage/tensor/tensor_view.h"

#include <array>
#include <limits>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace distill::storage {
namespace {

struct DTypeRow {
  DType dtype;
  absl::string_view name;
  uint64_t size_bytes;
};

// In the order of the enum.
constexpr std::array<DTypeRow, 10> kDTypes = {{
    {DType::kF64, "F64", 8},
    {DType::kF32, "F32", 4},
    {DType::kF16, "F16", 2},
    {DType::kBF16, "BF16", 2},
    {DType::kI64, "I64", 8},
    {DType::kI32, "I32", 4},
    {DType::kI16, "I16", 2},
    {DType::kI8, "I8", 1},
    {DType::kU8, "U8", 1},
    {DType::kBool, "BOOL", 1},
}};

}  // namespace

absl::string_view DTypeName(DType dtype) { return kDTypes[static_cast<size_t>(dtype)].name; }

uint64_t DTypeSizeBytes(DType dtype) { return kDTypes[static_cast<size_t>(dtype)].size_bytes; }

absl::StatusOr<DType> ParseDType(absl::string_view name) {
  for (const DTypeRow& row : kDTypes) {
    if (row.name == name) return row.dtype;
  }
  return absl::InvalidArgumentError(absl::StrCat("unknown dtype \"",
                                                 absl::CHexEscape(name.substr(0, 32)),
                                                 "\"; convert the file to one of F64 F32 F16 BF16 "
                                                 "I64 I32 I16 I8 U8 BOOL"));
}

absl::StatusOr<uint64_t> TensorSizeBytes(DType dtype, const std::vector<int64_t>& shape) {
  int64_t size = static_cast<int64_t>(DTypeSizeBytes(dtype));
  for (const int64_t dimension : shape) {
    if (dimension < 0 || __builtin_mul_overflow(size, dimension, &size)) {
      return absl::InvalidArgumentError(
          absl::StrCat("impossible shape [", absl::StrJoin(shape, ","), "]"));
    }
  }
  return static_cast<uint64_t>(size);
}

}  // namespace distill::storage
