// The presets, built into the program as the files they are, so that `demo` and `job presets` need
// no source tree.
#pragma once

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace distill::client {

struct EmbeddedJob {
  absl::string_view name;
  absl::string_view text;  // YAML.
};

// In order of name.
absl::Span<const EmbeddedJob> EmbeddedJobs();

}  // namespace distill::client
