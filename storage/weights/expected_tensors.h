// The names and shapes of the tensors in the weight file of a described network, so that a file is
// known to fit before a byte of it is used, and the other names that the same weights go by.
//
// Names of one module:     cls_token, pos_embed, patch_embed.proj.*, blocks.<local>.*, norm.*,
//                          head.*
// Names of a whole model:  cls_token, pos_embed, then stages.<s>.<the rest>
// Flat names (as timm):    the module names, with blocks counted over the whole model
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "distill/v1/architecture.pb.h"

namespace distill::storage {

using TensorShapes = std::map<std::string, std::vector<int64_t>>;

// What the file holds: a module, if the description (resolved: architecture.h) names one, else the
// whole network. A NAC's names: nac_tensors.h.
TensorShapes ExpectedTensors(const v1::ArchitectureDescription& architecture);

// For each name of a whole ViT or V-MoE its flat name.
std::map<std::string, std::string> FlatNames(const v1::ArchitectureDescription& architecture);

// Whole-model name of tensor `name` of module `index`.
std::string WholeName(int64_t index, const std::string& name);

// Numbers in all tensors.
int64_t CountParameters(const TensorShapes& shapes);

}  // namespace distill::storage
