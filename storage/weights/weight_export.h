// Our weights under the names that other projects use.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "distill/v1/architecture.pb.h"
#include "storage/tensor/safetensors_file.h"

namespace distill::storage {

enum class WeightNaming {
  kStaged,     // cls_token, pos_embed, stages.<s>.*: ours, each tensor once.
  kFlat,       // timm's: blocks counted over the whole model.
  kReference,  // The reference's full checkpoints: every tensor under its flat and staged name.
  kModules,    // One file for each module, by the names of its own state dict.
};

// Writes `file`, of the network `architecture` (resolved), into `directory`, which is made:
// weights.safetensors and architecture.json, or module_<i>.safetensors and module_<i>.json. A
// single module has its own names whatever the naming. Returns the paths. Errors: kInvalidArgument
// listing what keeps the file from being of that network; those of base/file.h.
absl::StatusOr<std::vector<std::string>> ExportWeights(
    const SafetensorsFile& file, const v1::ArchitectureDescription& architecture,
    WeightNaming naming, const std::string& directory);

}  // namespace distill::storage
