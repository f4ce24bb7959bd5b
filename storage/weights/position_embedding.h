// Position embeddings for images of another size.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"

namespace distill::storage {

// Resizes a position embedding [1, 1 + side^2, width], row-major, to a grid of new_side^2: bicubic
// as PyTorch's (coefficient -0.75, corners not aligned, border repeated); the class token's stays.
// Requires `embedding` to have that many elements for a square grid. Errors: kInvalidArgument when
// the grid is not square.
absl::StatusOr<std::vector<float>> ResizePositionEmbedding(const std::vector<float>& embedding,
                                                           int64_t width, int64_t new_side);

}  // namespace distill::storage
