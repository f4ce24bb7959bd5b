// The way to the server: one channel for control calls and one for blobs, so that a large upload
// cannot stand in front of a heartbeat. With several addresses, the next one is tried when one
// cannot be reached.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "grpcpp/channel.h"
#include "grpcpp/security/credentials.h"
#include "transport/secure_channel.h"

namespace distill::worker {

// Thread-safe.
class ServerConnection {
 public:
  struct Config {
    // "host:port", at least one.
    std::vector<std::string> addresses;
    ChannelSecurity security;
  };

  // Opens channels in the background. `credentials` are made from `config.security`
  // (MakeChannelCredentials).
  ServerConnection(Config config, std::shared_ptr<grpc::ChannelCredentials> credentials);

  std::shared_ptr<grpc::Channel> control() const ABSL_LOCKS_EXCLUDED(mu_);
  std::shared_ptr<grpc::Channel> bulk() const ABSL_LOCKS_EXCLUDED(mu_);
  std::string address() const ABSL_LOCKS_EXCLUDED(mu_);

  // Whether servers stand by for one another.
  bool has_several_addresses() const { return config_.addresses.size() > 1; }

  // Moves on to the next address, if there is one.
  void TryNextAddress() ABSL_LOCKS_EXCLUDED(mu_);
  // Opens new connections: the present ones swallow calls without an answer.
  void Reconnect() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Open() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Config config_;
  // Shared with every channel.
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  mutable Mutex mu_;
  size_t current_ ABSL_GUARDED_BY(mu_) = 0;
  // Shared with the calls that run on them.
  std::shared_ptr<grpc::Channel> control_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<grpc::Channel> bulk_ ABSL_GUARDED_BY(mu_);
};

}  // namespace distill::worker
