#include "server/planner/vit_presets.h"

#include <algorithm>
#include <array>

namespace distill::server {
namespace {

struct VitPreset {
  absl::string_view name;
  int embed_dim;
  int heads;
  bool qkv_bias;
  double layer_norm_epsilon;
};

constexpr double kMlpRatio = 4.0;

// The huge one differs from the others in its bias and its epsilon; released weights need both.
constexpr std::array<VitPreset, 6> kPresets = {{
    {"deit_tiny_patch16_224", 192, 3, true, 1e-6},
    {"deit_small_patch16_224", 384, 6, true, 1e-6},
    {"deit_base_patch16_224", 768, 12, true, 1e-6},
    {"vit_base_patch16_224", 768, 12, true, 1e-6},
    {"vit_large_patch16_224", 1024, 16, true, 1e-6},
    {"vit_huge_patch14_224", 1280, 16, false, 1e-5},
}};

}  // namespace

void ResolveVitPreset(v1::VitSpec& vit) {
  const auto preset =
      std::find_if(kPresets.begin(), kPresets.end(),
                   [&vit](const VitPreset& candidate) { return candidate.name == vit.preset(); });
  if (preset == kPresets.end()) return;
  if (!vit.has_embed_dim()) vit.set_embed_dim(preset->embed_dim);
  if (!vit.has_heads()) vit.set_heads(preset->heads);
  if (!vit.has_mlp_ratio()) vit.set_mlp_ratio(kMlpRatio);
  if (!vit.has_qkv_bias()) vit.set_qkv_bias(preset->qkv_bias);
  if (!vit.has_layer_norm_epsilon()) vit.set_layer_norm_epsilon(preset->layer_norm_epsilon);
  vit.clear_preset();
}

std::vector<std::string> VitPresetNames() {
  std::vector<std::string> names;
  for (const VitPreset& preset : kPresets) names.emplace_back(preset.name);
  return names;
}

}  // namespace distill::server
