// How clients and workers prove who they are and whom they trust: one set of rules for both.
//
// Traffic beyond this machine is encrypted unless the operator says otherwise. Files are looked at
// again every few seconds, so certificates can be renewed under running processes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/tls_files.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"

namespace distill {

struct ChannelSecurity {
  // `ca` may be "system": the authorities that this machine trusts.
  TlsFiles files;
  // The name in the server's certificate, when it differs from the address. Empty: the address.
  std::string server_name;
  // File with a bearer token in its first line; sent over TLS only. Empty: none.
  std::string token_file;
  // Speak unencrypted to servers beyond this machine.
  bool allow_plaintext = false;
};

// Returns what to open channels to `servers` ("host:port", at least one) with. Blocks for files.
// kInvalidArgument: a file that cannot be used, or an unencrypted way beyond this machine that
// nobody allowed; the message says what to give.
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeChannelCredentials(
    const std::vector<std::string>& servers, const ChannelSecurity& security, absl::Time now);

// Sets what `security` asks of a channel's arguments.
void ApplyTo(const ChannelSecurity& security, grpc::ChannelArguments& arguments);

}  // namespace distill
