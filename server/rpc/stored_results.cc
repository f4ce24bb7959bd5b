#include "server/rpc/stored_results.h"

#include <set>

namespace distill::server {

std::vector<Digest> FindGone(const std::vector<storage::NamedBlob>& wanted, const Clock& clock,
                             Counter& corrupt, storage::BlobStore& blobs) {
  const MonotonicTime deadline = clock.Now() + kLongestLook;
  std::set<Digest> seen;
  std::vector<Digest> gone;
  for (const storage::NamedBlob& blob : wanted) {
    if (clock.Now() >= deadline) break;
    if (!seen.insert(blob.digest).second) continue;
    const absl::StatusOr<uint64_t> size = blobs.Stat(blob.digest);
    if (size.ok() && *size != static_cast<uint64_t>(blob.size_bytes)) {
      corrupt.Increment();
      if (blobs.Quarantine(blob.digest).ok()) gone.push_back(blob.digest);
    } else if (absl::IsNotFound(size.status())) {
      gone.push_back(blob.digest);
    }
  }
  return gone;
}

}  // namespace distill::server
