// Blobs in the object store that no row of the state knows: left by a server that died between
// publishing a blob and writing its row. Retention, which goes by rows, never sees them.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "storage/blob/blob_store.h"
#include "storage/state/sql_connection.h"

namespace distill::storage {

struct RemovedStrays {
  int64_t blobs = 0;
  int64_t bytes = 0;
};

// Removes them. No server may run on either. kFailedPrecondition when the database holds no state
// of this schema, since then every blob would look like a stray.
absl::StatusOr<RemovedStrays> RemoveStrays(SqlConnection& connection, BlobStore& blobs);

}  // namespace distill::storage
