// Receives one blob: announced to the core, written to the blob store chunk by chunk, verified,
// made durable, and only then acknowledged.
#pragma once

#include "distill/v1/artifact_service.grpc.pb.h"
#include "server/rpc/blob_access.h"
#include "server/rpc/call.h"
#include "server/rpc/rpc_dependencies.h"

namespace distill::server {

// Returns the reactor of a new upload, which deletes itself. Without a `place` the upload is
// refused with kResourceExhausted.
grpc::ServerReadReactor<v1::UploadRequest>* StartUpload(const RpcDependencies& dependencies,
                                                        const BlobAccess& access, CallRecord record,
                                                        v1::UploadResponse& response,
                                                        StreamLimit::Place place);

}  // namespace distill::server
