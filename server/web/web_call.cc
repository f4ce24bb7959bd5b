#include "server/web/web_call.h"

#include <algorithm>

namespace distill::server {
namespace {

constexpr size_t kMostAuthorizationBytes = 4096;

}  // namespace

absl::Status CheckAuthorization(absl::string_view authorization) {
  const bool printable = std::all_of(authorization.begin(), authorization.end(),
                                     [](char c) { return c >= ' ' && c <= '~'; });
  if (printable && authorization.size() <= kMostAuthorizationBytes) return absl::OkStatus();
  return absl::UnauthenticatedError("cannot tell who calls: authorization: want \"Bearer TOKEN\"");
}

}  // namespace distill::server
