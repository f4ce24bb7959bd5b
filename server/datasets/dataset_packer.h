// Copies the files of a data set into the blob store, as tar files of about the same size and a
// manifest that lists them: what workers fetch who do not have the files.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/digest.h"
#include "distill/v1/job.pb.h"
#include "storage/blob/blob_store.h"
#include "storage/state/records.h"

namespace distill::server {

struct PackOptions {
  std::string path;
  v1::DatasetFormat format = v1::DATASET_FORMAT_IDX;
  Digest dataset_digest;
  // Names the uploads, so that an interrupted one is taken up again.
  std::string upload_prefix;
  // For one shard at a time.
  std::string scratch_file;
  // A shard ends with the file that brings it to this size.
  uint64_t shard_bytes = uint64_t{64} << 20;
  size_t most_files = 20'000'000;
  uint64_t most_bytes = uint64_t{1} << 60;
  // Called after each file with the bytes packed so far and in all; false ends with kCancelled.
  std::function<bool(uint64_t done, uint64_t total)> progress;
};

// Returns the blobs: the manifest (kManifestBlob) first, then shards in order. The same files give
// the same blobs. Blocks. kInvalidArgument when a file has a name that cannot be packed;
// kResourceExhausted above `most_files` or `most_bytes`, before anything is written;
// kFailedPrecondition when a file changes meanwhile; errors of the disk and of the store.
absl::StatusOr<std::vector<storage::NamedBlob>> PackDataset(const PackOptions& options,
                                                            storage::BlobStore& blobs);

}  // namespace distill::server
