// Architecture files: the JSON beside a weight file that says of what network it is
// (proto/distill/v1/architecture.proto, docs/weights.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "distill/v1/architecture.pb.h"

namespace distill::storage {

inline constexpr char kArchitectureFormat[] = "distillery-architecture-1";

// Reads the JSON, fills in every default, and checks that the network can be built. `label` stands
// for the file in messages. Errors: kInvalidArgument naming the field.
absl::StatusOr<v1::ArchitectureDescription> ParseArchitecture(absl::string_view json,
                                                              absl::string_view label);
// Same for a file. Also the errors of base/file.h.
absl::StatusOr<v1::ArchitectureDescription> ReadArchitecture(const std::string& path);
enum class JsonLayout { kIndented, kOneLine };
// Writes JSON that ParseArchitecture reads back to the same message.
std::string FormatArchitecture(const v1::ArchitectureDescription& architecture,
                               JsonLayout layout = JsonLayout::kIndented);

// Fills in defaults (presets, depths, positions of mixtures) and checks. Idempotent.
absl::Status ResolveArchitecture(v1::ArchitectureDescription* architecture);

// The rest requires a resolved description.

// The widths, heads and depths of a ViT or V-MoE; must be one of them.
const v1::VitSpec& BackboneOf(const v1::ArchitectureDescription& architecture);
bool IsStaged(const v1::ArchitectureDescription& architecture);  // A ViT or a V-MoE.
// The first block of module `index`, counted over the whole network.
int64_t FirstBlock(const v1::VitSpec& vit, int64_t index);
// Whether block `position`, counted over the whole network, holds a mixture of experts.
bool HoldsExperts(const v1::ArchitectureDescription& architecture, int64_t position);
// The meta model of a hybrid as a description of its own.
v1::ArchitectureDescription MetaOf(const v1::ArchitectureDescription& hybrid);

}  // namespace distill::storage
