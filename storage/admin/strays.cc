#include "storage/admin/strays.h"

#include <set>
#include <string>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "storage/state/schema.h"

namespace distill::storage {

absl::StatusOr<RemovedStrays> RemoveStrays(SqlConnection& connection, BlobStore& blobs) {
  DISTILL_ASSIGN_OR_RETURN(const int64_t schema, connection.SchemaVersion());
  if (schema != static_cast<int64_t>(SchemaMigrations().size())) {
    return absl::FailedPreconditionError(
        "cannot remove stray blobs: the database holds no state of this program's schema, so every "
        "blob would look like one; start the server once");
  }
  std::set<std::string> known;
  SqlStatement rows = connection.Prepare("SELECT digest FROM blobs");
  for (;;) {
    DISTILL_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) break;
    known.insert(rows.ReadText());
  }
  DISTILL_ASSIGN_OR_RETURN(const std::vector<BlobInfo> stored, blobs.List());
  RemovedStrays removed;
  for (const BlobInfo& blob : stored) {
    if (known.count(blob.digest.str()) != 0) continue;
    DISTILL_RETURN_IF_ERROR(blobs.Delete(blob.digest));
    ++removed.blobs;
    removed.bytes += static_cast<int64_t>(blob.size_bytes);
  }
  return removed;
}

}  // namespace distill::storage
