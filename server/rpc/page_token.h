// Page tokens: where a list goes on. Opaque to callers; a token fits only the list and the filter
// that it came from. Positions are keys, not counts, so nothing is shown twice or left out when
// entries come and go between two pages.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace distill::server {

// Identifies one list: "jobs" of a project, "tasks" of a job.
struct PageScope {
  absl::string_view list;
  absl::string_view filter;
};

std::string MakePageToken(const PageScope& scope, absl::string_view position);

// Returns the position of a token, "" of an empty one. kInvalidArgument, reason PAGE_TOKEN_INVALID.
absl::StatusOr<std::string> ReadPageToken(const PageScope& scope, absl::string_view token);
// Likewise for positions that are numbers of at least 0; `first` for an empty token.
absl::StatusOr<int64_t> ReadNumericPageToken(const PageScope& scope, absl::string_view token,
                                             int64_t first);

}  // namespace distill::server
