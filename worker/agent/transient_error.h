// Which errors of calls to the server may pass by themselves, and how long to wait for that.
#pragma once

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace distill::worker {

// Whether the same call may succeed later without anything else changing: the server is away, too
// slow, overloaded, or it stumbled over itself.
bool IsTransient(const absl::Status& status);

// Returns the longer of `backoff` and what the server asks for, which is believed up to a minute.
absl::Duration RetryDelay(const absl::Status& status, absl::Duration backoff);

}  // namespace distill::worker
