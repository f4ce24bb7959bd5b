// The one place where our statuses become gRPC's.
#pragma once

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace distill::server {

// Same code, same message (cut at 4 KiB: it travels in a header).
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace distill::server
