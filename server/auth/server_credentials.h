// TLS of the gRPC API: who the server is, and whose certificates it believes.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/tls_files.h"
#include "grpcpp/security/server_credentials.h"

namespace distill::server {

struct ServerTls {
  // All set; `ca` signs the certificates of clients.
  TlsFiles files;
  // Revocation lists named by hash; empty: none.
  std::string revoked_directory;
  // A client without a certificate does not even get a connection.
  bool require_client_certificate = false;
};

// Checks the files and returns credentials for TLS 1.2 and above. The files are looked at again
// every few seconds; new connections use what they then hold. Blocks. kInvalidArgument names the
// file and the remedy.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(const ServerTls& tls,
                                                                               absl::Time now);

}  // namespace distill::server
