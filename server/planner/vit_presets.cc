#include "server/planner/vit_presets.h"

#include "storage/weights/vit_preset.h"

namespace distill::server {
namespace {

constexpr double kMlpRatio = 4.0;

}  // namespace

void ResolveVitPreset(v1::VitSpec& vit) {
  const storage::VitPreset* const preset = storage::FindVitPreset(vit.preset());
  if (preset == nullptr) return;
  if (!vit.has_embed_dim()) vit.set_embed_dim(preset->embed_dim);
  if (!vit.has_heads()) vit.set_heads(preset->heads);
  if (!vit.has_mlp_ratio()) vit.set_mlp_ratio(kMlpRatio);
  if (!vit.has_qkv_bias()) vit.set_qkv_bias(preset->qkv_bias);
  if (!vit.has_layer_norm_epsilon()) vit.set_layer_norm_epsilon(preset->layer_norm_epsilon);
  vit.clear_preset();
}

}  // namespace distill::server
