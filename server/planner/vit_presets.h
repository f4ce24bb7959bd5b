// The published Vision Transformers by name: what VitSpec.preset fills in.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "distill/v1/model.pb.h"

namespace distill::server {

// Fills in the fields that `vit.preset` decides and that are not set, and clears the name. Leaves
// `vit` alone, the name included, when it names no preset.
void ResolveVitPreset(v1::VitSpec& vit);

// In the order of the table.
std::vector<std::string> VitPresetNames();

}  // namespace distill::server
