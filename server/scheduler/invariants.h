// What must hold between any two steps of the core, whatever happened. Used by tests and the
// simulation.
#pragma once

#include "absl/status/status.h"
#include "server/scheduler/core.h"

namespace distill::server {

// OK, or kInternal naming the first invariant that is broken and where. Takes time linear in the
// state.
absl::Status CheckInvariants(const Core& core);

}  // namespace distill::server
