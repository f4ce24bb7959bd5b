// Blobs in memory, for tests and for simulations. Behaves as the file system's store does, except
// that nothing survives the process.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "storage/blob/blob_store.h"

namespace distill::storage {

// Thread-safe.
class MemoryBlobStore : public BlobStore {
 public:
  // `max_bytes` 0: no limit.
  explicit MemoryBlobStore(uint64_t max_bytes = 0);
  ~MemoryBlobStore() override;

  absl::StatusOr<std::unique_ptr<BlobUpload>> StartUpload(absl::string_view upload_id,
                                                          const Digest& expected_digest,
                                                          uint64_t expected_size) override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<uint64_t> UploadedBytes(absl::string_view upload_id) const override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::vector<UploadInfo>> ListUploads() const override ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status DiscardUpload(absl::string_view upload_id) override ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::unique_ptr<BlobReader>> OpenReader(const Digest& digest) const override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<uint64_t> Stat(const Digest& digest) const override ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::vector<BlobInfo>> List() const override ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Delete(const Digest& digest) override ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Verify(const Digest& digest) const override ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Quarantine(const Digest& digest) override ABSL_LOCKS_EXCLUDED(mu_);
  uint64_t used_bytes() const override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  class Upload;

  struct Partial {
    std::string bytes;
    uint64_t announced_size = 0;
    bool in_use = false;
  };

  // Shared with the readers that have it open, which may outlive its deletion.
  using Bytes = std::shared_ptr<const std::string>;

  uint64_t UsedBytesLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const uint64_t max_bytes_;
  mutable Mutex mu_;
  std::map<Digest, Bytes> blobs_ ABSL_GUARDED_BY(mu_);
  std::map<Digest, Bytes> quarantined_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Partial> partials_ ABSL_GUARDED_BY(mu_);
};

}  // namespace distill::storage
