// Finds what attempts left behind beside their results: logs, series, spans.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/ids.h"
#include "storage/state/state_store.h"

namespace distill::server {

// Returns the observation of one attempt (0: of the newest that has it). kNotFound; blocks.
absl::StatusOr<storage::NamedBlob> FindObservation(const storage::StateStore& store,
                                                   const TaskId& task, int32_t attempt_number,
                                                   absl::string_view name);

}  // namespace distill::server
