// What VitSpec.preset, the name of a published Vision Transformer, fills in.
#pragma once

#include "distill/v1/model.pb.h"

namespace distill::server {

// Fills in the fields that `vit.preset` decides and that are not set, and clears the name. Leaves
// `vit` alone, the name included, when it names no preset.
void ResolveVitPreset(v1::VitSpec& vit);

}  // namespace distill::server
