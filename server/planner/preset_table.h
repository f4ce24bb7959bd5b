// The presets as the build leaves them; presets.h is what others use.
#pragma once

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace distill::server {

struct PresetText {
  absl::string_view name;
  absl::string_view spec;  // Textproto of v1.JobSpec.
};

// In order of name.
absl::Span<const PresetText> PresetTable();

}  // namespace distill::server
