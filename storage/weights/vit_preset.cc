// The table of published shapes (DeiT, arXiv 2012.12877; ViT, arXiv 2010.11929).
#include "storage/weights/vit_preset.h"

namespace distill::storage {
namespace {

constexpr VitPreset kPresets[] = {
    {"deit_tiny_patch16_224", 192, 3, 16, 224, 12, true, 1e-6},
    {"deit_small_patch16_224", 384, 6, 16, 224, 12, true, 1e-6},
    {"deit_base_patch16_224", 768, 12, 16, 224, 12, true, 1e-6},
    {"vit_base_patch16_224", 768, 12, 16, 224, 12, true, 1e-6},
    {"vit_large_patch16_224", 1024, 16, 16, 224, 24, true, 1e-6},
    // Released without a bias of the query-key-value projection, and with LibTorch's own epsilon.
    {"vit_huge_patch14_224", 1280, 16, 14, 224, 32, false, 1e-5},
};

}  // namespace

const VitPreset* FindVitPreset(absl::string_view name) {
  for (const VitPreset& preset : kPresets) {
    if (preset.name == name) return &preset;
  }
  return nullptr;
}

std::vector<std::string> VitPresetNames() {
  std::vector<std::string> names;
  for (const VitPreset& preset : kPresets) names.emplace_back(preset.name);
  return names;
}

}  // namespace distill::storage
