// Where the blobs of a server lie, as flags say it: those of the server, and those of commands that
// look after its state without it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "storage/blob/blob_store.h"

namespace CLI {
class App;
}

namespace distill::storage {

struct BlobPlace {
  std::string store = "file";  // file or s3.
  std::string s3_endpoint;
  std::string s3_bucket;
  std::string s3_prefix;
  std::string s3_region = "us-east-1";
  std::string s3_addressing = "path";  // path or virtual-hosted.
  std::string s3_credentials_file;     // Empty: from the environment.
  std::string s3_ca_file;
};

// How a store is used; the default is that of somebody who looks.
struct BlobUse {
  uint64_t max_bytes = 0;             // Of all blobs; 0: no cap.
  uint64_t low_water_free_bytes = 0;  // Uploads must leave that much free on the local disk.
  bool direct_transfers = false;      // Hand out locations, where the store can.
  bool read_back = false;             // Hash what was sent directly, by reading it.
};

// --blobs and --s3-*.
void AddBlobPlaceOptions(CLI::App& app, BlobPlace& place);
// kInvalidArgument names the flag.
absl::Status CheckBlobPlace(const BlobPlace& place);
// One "flag = value" line each.
std::string PrintBlobPlace(const BlobPlace& place);

// Opens the store, with what it keeps on local disk under `directory`. The borrowed outlive it.
// Errors: kInvalidArgument (this build has no S3), those of the stores.
absl::StatusOr<std::unique_ptr<BlobStore>> OpenBlobPlace(const BlobPlace& place,
                                                         const std::string& directory,
                                                         const BlobUse& use, const Clock& clock,
                                                         Metrics& metrics);

}  // namespace distill::storage
