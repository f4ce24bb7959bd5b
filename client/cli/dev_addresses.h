// The file in which a server or worker that was told to pick its own ports says which it picked:
// lines "grpc=host:port" and "http=host:port". It appears, whole, when the process is ready.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace distill::client {

// Name within the directory of `distill dev`.
inline constexpr char kServerAddressesFile[] = "addresses";

struct DevAddresses {
  std::string grpc;  // Empty for a worker.
  std::string http;
};

// Errors: kNotFound when there is no such file (yet).
absl::StatusOr<DevAddresses> ReadAddresses(const std::string& path);

}  // namespace distill::client
