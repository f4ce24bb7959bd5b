// Leadership over a PostgreSQL database: one row (epoch, holder, renewed_at) that the leader renews
// each second and that is judged by the database's clock. Who finds it stale raises the epoch and
// leads; every transaction of a leader locks the row first and fails unless the epoch is still its
// own. So a leader that was stopped, or cut off from the database, can do no harm when it wakes up.
#pragma once

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "base/clock.h"
#include "storage/state/leadership.h"
#include "storage/state/sql_connection.h"

namespace distill::storage {

struct PostgresLeadershipConfig {
  std::string conninfo;
  // Unlike that of any other server, and new with each start.
  std::string holder;
  // Where clients reach this server.
  std::string address;
  absl::Duration renew_interval = absl::Seconds(1);
  // A leader that has not renewed for this long is taken over.
  absl::Duration takeover_after = absl::Seconds(3);
};

// Makes the row if it is not there. `clock` outlives the result. kUnimplemented in a program built
// without PostgreSQL; kInvalidArgument, kUnavailable, kPermissionDenied.
absl::StatusOr<std::unique_ptr<Leadership>> OpenPostgresLeadership(
    const PostgresLeadershipConfig& config, const Clock& clock);

// A connection to the same database, beside a running server. Same errors.
absl::StatusOr<std::unique_ptr<SqlConnection>> OpenPostgres(const std::string& conninfo);

}  // namespace distill::storage
