// The whole state as a text file, one row a line, that either database can be filled from: for
// backups, and for moving from SQLite to PostgreSQL or back.
//
//   distillery-state 1
//   schema 2
//   table jobs id project ...
//   job-7f3a9c01<tab>default<tab>...
//   end <rows> sha256:<digest of all bytes before this line>
//
// Numbers are decimal, blobs \x and hex digits, text has \t \n \r \0 and \\ for what would break a
// line; \N is NULL.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "storage/state/sql_connection.h"

namespace distill::storage {

struct StateDumpInfo {
  int64_t schema = 0;
  int64_t rows = 0;
};

// Writes all tables as they are at one moment, also while a server writes on. The file appears
// whole. kFailedPrecondition when the database holds no state, or one newer than this program.
absl::StatusOr<StateDumpInfo> WriteStateDump(SqlConnection& connection, const std::string& path);

// Fills an empty database, in one transaction, and migrates it to the newest schema.
// kFailedPrecondition when it is not empty or the dump is newer than this program; kDataLoss when
// the dump is damaged.
absl::StatusOr<StateDumpInfo> RestoreStateDump(const std::string& path, SqlConnection& connection);

}  // namespace distill::storage
