// The published Vision Transformers by name: width, heads, patch and the two things in which they
// differ that a checkpoint does not show.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace distill::storage {

struct VitPreset {
  absl::string_view name;
  int32_t embed_dim = 0;
  int32_t heads = 0;
  int32_t patch_size = 0;
  int32_t image_size = 0;
  int32_t depth = 0;  // As published; a staged model may have another.
  bool qkv_bias = true;
  double layer_norm_epsilon = 1e-6;
};

// nullptr when there is none of that name. The MLP of every one is four times as wide as its
// tokens.
const VitPreset* FindVitPreset(absl::string_view name);
std::vector<std::string> VitPresetNames();

}  // namespace distill::storage
