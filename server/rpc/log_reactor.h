// Follows the log of one attempt: what its worker sends while it runs, then the rest from the
// artifact that it uploads at its end. Both have the same bytes at the same offsets, so the reader
// sees one log. One write in flight.
#pragma once

#include "distill/v1/job_service.grpc.pb.h"
#include "server/rpc/call.h"
#include "server/rpc/rpc_dependencies.h"

namespace distill::server {

// Returns the reactor of a new stream, which deletes itself. Without a `place` it is refused with
// kResourceExhausted.
grpc::ServerWriteReactor<v1::ReadLogResponse>* StartLogFollowing(
    const RpcDependencies& dependencies, CallRecord record, const v1::ReadLogRequest& request,
    StreamLimit::Place place);

}  // namespace distill::server
