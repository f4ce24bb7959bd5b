#include "worker/agent/server_connection.h"

#include <utility>

#include "base/check.h"
#include "base/connection_timing.h"
#include "base/log.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"

namespace distill::worker {
namespace {

constexpr int kFirstReconnectMilliseconds = 100;
constexpr int kLongestReconnectMilliseconds = 2000;
constexpr int kMaxMessageBytes = 8 << 20;

std::shared_ptr<grpc::Channel> OpenChannel(const std::string& address) {
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
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

ServerConnection::ServerConnection(std::vector<std::string> addresses)
    : addresses_(std::move(addresses)) {
  DISTILL_CHECK(!addresses_.empty(), "a worker needs a server");
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
  return addresses_[current_];
}

void ServerConnection::TryNextAddress() {
  MutexLock lock(mu_);
  if (addresses_.size() == 1) return;
  current_ = (current_ + 1) % addresses_.size();
  Open();
}

void ServerConnection::Reconnect() {
  MutexLock lock(mu_);
  current_ = (current_ + 1) % addresses_.size();
  Open();
}

void ServerConnection::Open() {
  control_ = OpenChannel(addresses_[current_]);
  bulk_ = OpenChannel(addresses_[current_]);
  LogDebug("channel opened", {{"server", addresses_[current_]}});
}

}  // namespace distill::worker
