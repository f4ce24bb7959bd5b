// Reads the pickle of a PyTorch checkpoint as data. Python runs whatever functions a pickle names;
// this reader knows those that rebuild a tensor or an ordered dictionary, does what they would do,
// and refuses all others by name.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/tensor/tensor_view.h"

namespace distill::storage {

// Far above any checkpoint; they bound what a hostile pickle may cost.
inline constexpr size_t kMaxPickleBytes = 64 << 20;
inline constexpr size_t kMaxPickleValues = 1'000'000;

// A view of a storage, which is an entry of the checkpoint beside the pickle.
struct PickleTensor {
  absl::string_view storage;  // Its name.
  DType dtype = DType::kF32;
  int64_t storage_elements = 0;
  int64_t offset = 0;  // In elements, as are the strides.
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
};

// A value, by index into Pickle::values. Values may be shared, and contain each other.
struct PickleValue {
  enum class Kind {
    kNone,
    kBool,
    kInteger,
    kNumber,
    kText,
    kTuple,
    kList,
    kDict,
    kTensor,
    // Only while reading; what is left of them at the end is refused.
    kGlobal,
    kStorage,
  };
  Kind kind = Kind::kNone;
  int64_t integer = 0;  // Also of a boolean.
  double number = 0.0;
  absl::string_view text;       // Into the pickle; also the name of a global.
  std::vector<uint32_t> items;  // Of a dictionary: key, value, key, value, ...
  uint32_t tensor = 0;          // Index into Pickle::tensors, of a storage too.
};

struct Pickle {
  std::vector<PickleValue> values;
  std::vector<PickleTensor> tensors;
  uint32_t root = 0;
};

// Reads protocols 2 to 5. `bytes` must outlive the result. Each tensor lies within its storage and
// no two of its elements share a place. Messages are a reason without the file's name. Errors:
// kInvalidArgument; kDataLoss when the pickle ends too early.
absl::StatusOr<Pickle> ReadPickle(absl::string_view bytes);

// "dict", "list", "tensor", ... for messages.
absl::string_view PickleKindName(PickleValue::Kind kind);

}  // namespace distill::storage
