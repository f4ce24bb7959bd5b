// Stands in for the PostgreSQL store in a build without it.
#include "storage/state/postgres_leadership.h"

namespace distill::storage {
namespace {

absl::Status Absent() {
  return absl::UnimplementedError(
      "cannot use PostgreSQL: this program was built without it; build with "
      "-DDISTILL_WITH_POSTGRES=ON or use --state=sqlite");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Leadership>> OpenPostgresLeadership(const PostgresLeadershipConfig&,
                                                                   const Clock&) {
  return Absent();
}

absl::StatusOr<std::unique_ptr<SqlConnection>> OpenPostgres(const std::string&) { return Absent(); }

}  // namespace distill::storage
