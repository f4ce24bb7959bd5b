// Unfinished uploads as files of one directory, and the count of all bytes of a store: what is here
// and what has been published. Shared by the stores that must keep bytes until they are whole.
//
//   <directory>/<upload id>.part
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "storage/blob/blob_store.h"

namespace distill::storage {

// Thread-safe. One process at a time has the directory.
class UploadSpool {
 public:
  struct Config {
    std::string directory;
    uint64_t max_bytes = 0;             // Of all blobs and uploads; 0: no limit of ours.
    uint64_t low_water_free_bytes = 0;  // New uploads must leave that much free on the disk.
    size_t max_uploads = 4096;          // Unfinished ones, resumable and in use.
    bool sync_parts = true;             // fdatasync before publishing.
  };
  // Gives a whole, verified file the name of its blob, and takes it away or leaves it: what is left
  // after an error can be resumed.
  using Publish = std::function<absl::Status(const std::string& part_path, const Digest& digest,
                                             uint64_t size_bytes)>;

  // Makes the directory and finds what an earlier process left. Errors: those of base/file.h.
  static absl::StatusOr<std::unique_ptr<UploadSpool>> Open(Config config);

  // As BlobStore::StartUpload() for a blob that is not there. `publish` is called by Commit().
  absl::StatusOr<std::unique_ptr<BlobUpload>> Start(absl::string_view upload_id,
                                                    const Digest& expected_digest,
                                                    uint64_t expected_size, Publish publish)
      ABSL_LOCKS_EXCLUDED(mu_);
  // What Start() would return for a blob that is there: discards what has arrived.
  absl::StatusOr<std::unique_ptr<BlobUpload>> StartPresent(absl::string_view upload_id,
                                                           uint64_t size_bytes)
      ABSL_LOCKS_EXCLUDED(mu_);
  // As those of BlobStore.
  absl::StatusOr<uint64_t> UploadedBytes(absl::string_view upload_id) const
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::vector<UploadInfo>> List() const ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Discard(absl::string_view upload_id) ABSL_LOCKS_EXCLUDED(mu_);

  // Counts bytes that became published or ceased to be.
  void CountStored(uint64_t added_bytes, uint64_t removed_bytes) ABSL_LOCKS_EXCLUDED(mu_);
  // kResourceExhausted when that many more bytes are too many for `max_bytes`.
  absl::Status CheckRoomFor(uint64_t wanted_bytes) const ABSL_LOCKS_EXCLUDED(mu_);
  uint64_t used_bytes() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  class Upload;

  struct Part {
    uint64_t committed_bytes = 0;
    uint64_t announced_size = 0;
    bool in_use = false;
  };

  explicit UploadSpool(Config config);

  absl::Status Scan() ABSL_LOCKS_EXCLUDED(mu_);
  std::string PartPath(absl::string_view upload_id) const;
  // Marks the part in use, or says why it cannot be.
  absl::Status Reserve(const std::string& upload_id, uint64_t expected_size)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Ends the use of a part; keeps `committed_bytes` of it, or forgets it when `keep` is false.
  void Release(const std::string& upload_id, uint64_t committed_bytes, bool keep)
      ABSL_LOCKS_EXCLUDED(mu_);
  void SetCommitted(const std::string& upload_id, uint64_t committed_bytes)
      ABSL_LOCKS_EXCLUDED(mu_);
  uint64_t UsedBytesLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Config config_;
  mutable Mutex mu_;
  uint64_t stored_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<std::string, Part> parts_ ABSL_GUARDED_BY(mu_);
};

}  // namespace distill::storage
