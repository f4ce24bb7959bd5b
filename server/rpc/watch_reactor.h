// Streams what happens to one job: first history from the state store, then news from the hub, each
// durable change exactly once and in order; one write in flight.
#pragma once

#include "distill/v1/job_service.grpc.pb.h"
#include "server/rpc/call.h"
#include "server/rpc/rpc_dependencies.h"

namespace distill::server {

// Returns the reactor of a new watch, which deletes itself. Without a `place` the watch is refused
// with kResourceExhausted.
grpc::ServerWriteReactor<v1::JobEvent>* StartWatch(const RpcDependencies& dependencies,
                                                   const CallMetrics& metrics,
                                                   grpc::CallbackServerContext& context,
                                                   const v1::WatchJobRequest& request,
                                                   StreamLimit::Place place);

}  // namespace distill::server
