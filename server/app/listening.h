// What the gRPC API listens with, by the settings: the leader and those who stand by alike.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "server/app/config.h"

namespace distill::server {

// TLS when the settings name a certificate, plaintext otherwise. Blocks for files.
// kInvalidArgument.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ListenCredentials(
    const ServerConfig& config, absl::Time now);

// Sets what one connection may take: sizes, calls at a time, time to get going, age.
void SetConnectionLimits(grpc::ServerBuilder& builder);

}  // namespace distill::server
