// Several servers may stand by for one another, of which one leads. A client knows all their
// addresses and asks the next one when the one that it asked does not serve.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "grpcpp/channel.h"

namespace distill::client {

// Thread-safe.
class ServerRoute {
 public:
  // `servers`: "host:port", several separated by commas.
  explicit ServerRoute(const std::string& servers);

  size_t size() const { return addresses_.size(); }
  const std::string& address(size_t index) const { return addresses_[index]; }
  size_t current() const { return current_; }
  // The server with this index did not serve: turns to the next, unless somebody did already.
  void LeaveFrom(size_t index);

 private:
  const std::vector<std::string> addresses_;
  std::atomic<size_t> current_{0};
};

// The stubs of one service, one for each server of the route. Thread-safe.
template <typename Service>
class ServiceStubs {
 public:
  // `route` must outlive this; channels[i] leads to its server i.
  ServiceStubs(const ServerRoute& route,
               const std::vector<std::shared_ptr<grpc::Channel>>& channels)
      : route_(&route) {
    for (const auto& channel : channels) stubs_.push_back(Service::NewStub(channel));
  }

  // Of the server that is asked just now; look anew for each try.
  typename Service::StubInterface* operator->() const { return stubs_[route_->current()].get(); }

 private:
  const ServerRoute* const route_;
  std::vector<std::unique_ptr<typename Service::StubInterface>> stubs_;
};

}  // namespace distill::client
