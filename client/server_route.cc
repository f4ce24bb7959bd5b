#include "client/server_route.h"

#include "absl/strings/str_split.h"

namespace distill::client {

namespace {

// At least one, so that there is always somebody to ask; nothing answers at an empty address.
std::vector<std::string> Split(const std::string& servers) {
  std::vector<std::string> addresses = absl::StrSplit(servers, ',', absl::SkipWhitespace());
  if (addresses.empty()) addresses.emplace_back();
  return addresses;
}

}  // namespace

ServerRoute::ServerRoute(const std::string& servers) : addresses_(Split(servers)) {}

void ServerRoute::LeaveFrom(size_t index) {
  current_.compare_exchange_strong(index, (index + 1) % addresses_.size());
}

}  // namespace distill::client
