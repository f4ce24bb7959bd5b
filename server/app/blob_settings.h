// What an operator can set about the object store, from flags: where blobs are kept, how long each
// class of them stays, and how they are looked after.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "storage/blob/blob_store.h"
#include "storage/settings/blob_place.h"

namespace CLI {
class App;
}

namespace distill::server {

struct BlobSettings {
  storage::BlobPlace place;
  int64_t max_disk_bytes = int64_t{50} << 30;  // Of all blobs; 0: no cap.
  int64_t min_free_disk_bytes = int64_t{1} << 30;

  std::string s3_transfers = "direct";  // direct or server.
  std::string s3_verify = "checksum";   // checksum or read-back.

  double blob_grace_hours = 24;
  double checkpoint_grace_hours = 1;
  double log_retention_hours = 14 * 24;
  double upload_retention_hours = 24;
  int64_t scrub_bytes_per_second = 8 << 20;  // 0: no scrubbing.
  double scrub_interval_hours = 24;
};

void AddBlobOptions(CLI::App& app, BlobSettings& settings);
// kInvalidArgument names the flag.
absl::Status CheckBlobSettings(const BlobSettings& settings);
// One "flag = value" line each.
std::string PrintBlobSettings(const BlobSettings& settings);

// Opens the store that is set, with what it keeps on local disk under `directory`. The borrowed
// outlive it. Errors: those of the stores.
absl::StatusOr<std::unique_ptr<storage::BlobStore>> OpenBlobStore(const BlobSettings& settings,
                                                                  const std::string& directory,
                                                                  const Clock& clock,
                                                                  Metrics& metrics);

}  // namespace distill::server
