#include "worker/agent/server_connection.h"

#include <utility>

#include "base/check.h"
#include "base/connection_timing.h"
#include "base/log.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/support/channel_arguments.h"
#include "transport/grpc_runtime.h"

namespace distill::worker {
namespace {

constexpr int kFirstReconnectMilliseconds = 100;
constexpr int kLongestReconnectMilliseconds = 2000;
constexpr int kMaxMessageBytes = 8 << 20;

grpc::ChannelArguments ArgumentsOf(const ChannelSecurity& security) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstReconnectMilliseconds);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kFirstReconnectMilliseconds);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kLongestReconnectMilliseconds);
  // Otherwise all channels to one address share one connection.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // Pings go on however long nothing else is sent.
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS,
                   static_cast<int>(absl::ToInt64Milliseconds(kClientPingInterval)));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                   static_cast<int>(absl::ToInt64Milliseconds(kPingTimeout)));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  ApplyTo(security, arguments);
  return arguments;
}

}  // namespace

ServerConnection::ServerConnection(Config config,
                                   std::shared_ptr<grpc::ChannelCredentials> credentials)
    : config_(std::move(config)), credentials_(std::move(credentials)) {
  DISTILL_CHECK(!config_.addresses.empty(), "a worker needs a server");
  MutexLock lock(mu_);
  Open();
}

std::shared_ptr<grpc::Channel> ServerConnection::control() const {
  MutexLock lock(mu_);
  return control_;
}

std::shared_ptr<grpc::Channel> ServerConnection::bulk() const {
  MutexLock lock(mu_);
  return bulk_;
}

std::string ServerConnection::address() const {
  MutexLock lock(mu_);
  return config_.addresses[current_];
}

void ServerConnection::TryNextAddress() {
  MutexLock lock(mu_);
  if (config_.addresses.size() == 1) return;
  current_ = (current_ + 1) % config_.addresses.size();
  Open();
}

void ServerConnection::Reconnect() {
  MutexLock lock(mu_);
  current_ = (current_ + 1) % config_.addresses.size();
  Open();
}

void ServerConnection::Open() {
  KeepGrpcRunning();
  const std::string& address = config_.addresses[current_];
  const grpc::ChannelArguments arguments = ArgumentsOf(config_.security);
  control_ = grpc::CreateCustomChannel(address, credentials_, arguments);
  bulk_ = grpc::CreateCustomChannel(address, credentials_, arguments);
  LogDebug("channel opened", {{"server", address}});
}

}  // namespace distill::worker
