// gRPC's outcome of a call as an absl::Status.
#pragma once

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace distill::client {

// The codes are the same numbers by design; the message is kept.
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace distill::client
