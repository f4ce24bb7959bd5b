// The one place where errors go onto the wire and come off it again: absl::Status with details
// (base/error_details.h) to gRPC's status with google.rpc details, and back.
#pragma once

#include "absl/status/status.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/support/status.h"

namespace distill {

// Fits code, message and details into the 8 KiB of metadata that gRPC clients accept by default:
// long messages are cut, then the last field violations left out. Every error gets a reason: its
// own, or the general one of its code; UNAVAILABLE also says when to retry.
grpc::Status ToGrpcStatus(const absl::Status& status);

// The inverse. Details of other servers, or of a proxy, may be absent.
absl::Status FromGrpcStatus(const grpc::Status& status);

// As in ToGrpcStatus(), for errors inside of answers.
google::rpc::Status ToRpcStatus(const absl::Status& status);

// The reason that ToGrpcStatus() would send.
std::string WireReason(const absl::Status& status);

}  // namespace distill
