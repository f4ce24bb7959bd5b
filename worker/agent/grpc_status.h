// Turns gRPC's status into ours. The codes of both have the same numbers.
#pragma once

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace distill::worker {

absl::Status FromGrpcStatus(const grpc::Status& status);

// Whether the same call may succeed later without anything else changing: the server is away, too
// slow, overloaded, or it stumbled over itself.
bool IsTransient(const absl::Status& status);

}  // namespace distill::worker
