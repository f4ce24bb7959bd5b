// A whole server: owns every part, starts them in an order in which each finds what it needs, and
// stops them in the reverse one. Several may live in one process (tests do that).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/random_ids.h"
#include "server/app/config.h"
#include "storage/state/leadership.h"

namespace distill::server {

// How a server tells programs on its machine where it listens.
absl::Status WriteAddressesFile(const std::string& path, const std::string& grpc_address,
                                const std::string& http_address);

class ServerApp {
 public:
  struct Dependencies {
    const Clock* clock;
    IdSource* ids;
    // Called once, on any thread, when the server can no longer keep its promises (its database
    // failed) and the process should end. May be null.
    std::function<void(const absl::Status&)> on_fatal;
    // Already leads and is held. Null: whoever has the lock of the data directory leads, and the
    // state is a SQLite file in it.
    storage::Leadership* leadership = nullptr;
  };

  // Locks the data directory, recovers, listens, and writes the addresses file. Blocks until calls
  // are served. Errors: kInvalidArgument (settings), kFailedPrecondition (another server has the
  // data directory, or a database of another version), kUnavailable (an address is in use),
  // kDataLoss, and those of the stores.
  static absl::StatusOr<std::unique_ptr<ServerApp>> Start(const ServerConfig& config,
                                                          const Dependencies& dependencies);
  // Stops.
  virtual ~ServerApp() = default;

  // "127.0.0.1:40123"; the HTTP one is empty without HTTP.
  virtual const std::string& grpc_address() const = 0;
  virtual const std::string& http_address() const = 0;

  // Whether the thread on which everything depends comes round within `limit`, which this blocks
  // for at most.
  virtual bool Answers(absl::Duration limit) = 0;

  // Tells health checks that it is going, answers open calls with kUnavailable, ends running
  // transfers within a few seconds, and joins all threads. Nothing that was acknowledged is lost.
  // Idempotent.
  virtual void Stop() = 0;
};

}  // namespace distill::server
