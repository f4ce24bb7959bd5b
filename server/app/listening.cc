#include "server/app/listening.h"

#include "base/connection_timing.h"
#include "server/auth/server_credentials.h"
#include "transport/grpc_runtime.h"

namespace distill::server {
namespace {

constexpr int kMostMessageBytes = 4 << 20;
constexpr int kLookaheadBytes = 1 << 20;
constexpr int kMostMetadataBytes = 16 << 10;
constexpr int kMostStreamsPerConnection = 1024;
constexpr absl::Duration kHandshakeTimeout = absl::Seconds(20);

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ListenCredentials(
    const ServerConfig& config, absl::Time now) {
  KeepGrpcRunning();
  if (config.tls_certificate.empty()) return grpc::InsecureServerCredentials();
  ServerTls tls;
  tls.files = {config.tls_certificate, config.tls_key, config.tls_client_ca};
  tls.revoked_directory = config.tls_revoked_dir;
  tls.require_client_certificate = config.tls_require_client_certificate;
  return MakeServerCredentials(tls, now);
}

void SetConnectionLimits(grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(kMostMessageBytes);
  builder.SetMaxSendMessageSize(kMostMessageBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMostMetadataBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMostStreamsPerConnection);
  // Left to itself gRPC lets senders be megabytes ahead, on each stream.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kLookaheadBytes);
  // With it a second server would share the port instead of failing.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Dead workers are found by their leases, not by this.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(kServerPingInterval));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(kPingTimeout));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             Milliseconds(kLeastPingInterval));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, Milliseconds(kConnectionAge));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                             Milliseconds(kConnectionAgeGrace));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, Milliseconds(kConnectionIdle));
  // A connection that does not get as far as its first call is closed.
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, Milliseconds(kHandshakeTimeout));
}

}  // namespace distill::server
