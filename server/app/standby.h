// What a server is while another one leads: it listens on its addresses, answers every call with
// kUnavailable and the leader's address, tells health checks that it does not serve, and is ready
// to lead within moments.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/metrics.h"
#include "server/app/config.h"

namespace distill::server {

// Trailing metadata of every refusal: the leader's address, where it is known.
inline constexpr char kLeaderMetadata[] = "distill-leader";

// Tells those who look at /metrics whether this server leads.
void SetLeading(Metrics& metrics, bool leads);

// Thread-safe.
class Standby {
 public:
  // Listens. kUnavailable: an address is in use.
  static absl::StatusOr<std::unique_ptr<Standby>> Start(const ServerConfig& config);
  // Stops.
  virtual ~Standby() = default;

  // With the ports that the system chose, so that the leader can take them over.
  virtual const std::string& grpc_address() const = 0;
  virtual const std::string& http_address() const = 0;

  virtual void SetLeader(const std::string& address) = 0;

  // Frees the addresses. Idempotent.
  virtual void Stop() = 0;
};

}  // namespace distill::server
