// A backup: a folder that holds the state of a server at one moment, the list of the blobs that it
// refers to and, if wanted, the blobs themselves. Made beside a running server or without one.
//
//   <folder>/state.dump   all tables, as text (storage/state/state_dump.h)
//   <folder>/blobs.txt    "sha256:... <size>" a line
//   <folder>/blobs/       an object store, as in a data directory
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "storage/blob/blob_store.h"
#include "storage/state/sql_connection.h"

namespace distill::storage {

struct BackupInfo {
  int64_t schema = 0;
  int64_t rows = 0;
  int64_t blobs = 0;
  int64_t blob_bytes = 0;
  int64_t copied = 0;   // Blobs that were copied, or put back; others were there already.
  int64_t missing = 0;  // Blobs that the state knows and the store has not.
};

// Writes a backup into `folder`, which is made. `from` is null when blobs are to be listed only. A
// second backup into the same folder replaces the state and copies only new blobs. Blobs that
// retention takes away meanwhile count as missing.
absl::StatusOr<BackupInfo> MakeBackup(SqlConnection& connection, const BlobStore* from,
                                      const std::string& folder);

// Fills an empty database, and puts the blobs that the backup holds into `to`, unless that is null.
// kFailedPrecondition when the database is not empty; kDataLoss when the backup is damaged.
absl::StatusOr<BackupInfo> RestoreBackup(const std::string& folder, SqlConnection& connection,
                                         BlobStore* to);

}  // namespace distill::storage
