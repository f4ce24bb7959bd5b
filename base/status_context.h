// Adds, once per layer, what was being done to an error that comes from below.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace distill {

// Returns `status` with "`context`: " in front of its message, code and payloads kept; OK
// unchanged. Example: Annotate(status, "cannot publish checkpoint").
absl::Status Annotate(const absl::Status& status, absl::string_view context);

}  // namespace distill
