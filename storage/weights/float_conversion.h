// Floating-point tensors as float32, in which weights are stored.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "storage/tensor/tensor_view.h"

namespace distill::storage {

// Returns the tensor in float32: itself, or a copy whose bytes are put into `copy`, which must then
// outlive the result. float64 is rounded to the nearest; the others convert exactly.
// kInvalidArgument for a tensor of integers.
absl::StatusOr<TensorView> ToFloat32(const TensorView& tensor, std::string* copy);

}  // namespace distill::storage
