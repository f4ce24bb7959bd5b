// The JSON that says all that is needed to build a NAC or one of its modules again, and back. Keys
// are the fields of NacConfig and NacModuleConfig; enumerators are their names in lower case.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "worker/models/nac/nac_config.h"

namespace distill::models {

std::string NacArchitecture(const NacConfig& config);
// The module's NAC is under "nac".
std::string NacModuleArchitecture(const NacModuleConfig& config);

// Errors: kInvalidArgument when `json` is no such JSON, lacks a key, has one that is unknown, or
// describes what CheckNacConfig (CheckNacModuleConfig) refuses.
absl::StatusOr<NacConfig> ParseNacArchitecture(absl::string_view json);
absl::StatusOr<NacModuleConfig> ParseNacModuleArchitecture(absl::string_view json);

}  // namespace distill::models
