// Whether a planned job is a graph that can run: checked before anything of it is stored.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "storage/state/records.h"

namespace distill::server {

// kInvalidArgument unless ids and names are valid and unique, every input has one source that
// exists, and no task waits for itself.
absl::Status CheckGraph(const storage::JobRecord& job, absl::Span<const storage::TaskRecord> tasks);

}  // namespace distill::server
