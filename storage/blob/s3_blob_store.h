// Blobs as objects of a bucket, in any store that speaks S3.
//
//   <prefix>blobs/sha256/<aa>/<bb>/<hex>   published blobs
//   <prefix>quarantine/<hex>               corrupt blobs, for people
//   <prefix>probe                          written and removed at each start
//   <spool>/<upload id>.part               bytes of uploads that are not finished, on local disk
//
// What comes through this process is spooled to a local file, hashed while it arrives, and sent
// when its digest has been checked: in one request whose payload hash is the digest, or in parts if
// it is large. An object appears whole or not at all. What workers send directly comes as one
// signed request that names the digest as its payload hash, so the object store itself refuses
// other bytes; Open() tries whether it does, and hands out no uploads if not.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "storage/blob/blob_store.h"
#include "storage/blob/s3_client.h"
#include "storage/blob/s3_credentials.h"
#include "storage/blob/upload_spool.h"

namespace distill::storage {

// Thread-safe. Several processes may use one prefix; each counts only what it did since it counted.
class S3BlobStore : public BlobStore {
 public:
  struct Config {
    S3ClientConfig client;
    std::string credentials_file;  // Empty: from the environment.
    std::string prefix;            // Of all keys; empty or ending in "/".
    std::string spool_directory;
    uint64_t max_bytes = 0;             // Of all blobs and uploads; 0: no limit of ours.
    uint64_t low_water_free_bytes = 0;  // Uploads must leave that much free on the spool's disk.
    size_t max_uploads = 4096;
    uint64_t multipart_bytes = 64 << 20;  // Larger blobs go in parts.
    uint64_t part_bytes = 16 << 20;       // At least 5 MiB, by S3's rules.
    int parallel_parts = 4;
    uint64_t read_ahead_bytes = 4 << 20;  // Held by each reader that reads on and on.
    bool direct_transfers = true;         // Hand out locations.
    bool read_back = false;               // Hash what was sent directly, by reading it.
    absl::Duration download_lifetime = absl::Minutes(15);
  };

  // Checks access, counts what is there, and ends multipart uploads that were left over a day ago.
  // `clock` and `metrics` are borrowed. Errors: kInvalidArgument (settings), kFailedPrecondition
  // (no keys, no such bucket, certificate), kPermissionDenied, kUnavailable, those of base/file.h.
  static absl::StatusOr<std::unique_ptr<S3BlobStore>> Open(Config config, const Clock& clock,
                                                           Metrics& metrics);
  ~S3BlobStore() override;

  absl::StatusOr<std::unique_ptr<BlobUpload>> StartUpload(absl::string_view upload_id,
                                                          const Digest& expected_digest,
                                                          uint64_t expected_size) override;
  absl::StatusOr<uint64_t> UploadedBytes(absl::string_view upload_id) const override;
  absl::StatusOr<std::vector<UploadInfo>> ListUploads() const override;
  absl::Status DiscardUpload(absl::string_view upload_id) override;
  absl::StatusOr<std::unique_ptr<BlobReader>> OpenReader(const Digest& digest) const override;
  absl::StatusOr<uint64_t> Stat(const Digest& digest) const override;
  absl::StatusOr<std::vector<BlobInfo>> List() const override;
  absl::Status Delete(const Digest& digest) override ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Verify(const Digest& digest) const override;
  absl::Status Quarantine(const Digest& digest) override ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::optional<BlobLocation>> LocateDownload(const Digest& digest) const override;
  absl::StatusOr<std::optional<BlobLocation>> LocateUpload(const Digest& digest,
                                                           uint64_t size_bytes) override;
  absl::Status FinishDirectUpload(const Digest& digest, uint64_t size_bytes) override
      ABSL_LOCKS_EXCLUDED(mu_);
  void StopWaiting() override;
  uint64_t used_bytes() const override;

 private:
  S3BlobStore(Config config, const Clock& clock, Metrics& metrics);

  absl::Status Prepare();
  // Writes, overwrites and removes a small object; sets direct_uploads_.
  absl::Status Probe();
  absl::Status EndOldMultiparts();
  std::string BlobKey(const Digest& digest) const;
  absl::StatusOr<S3ObjectInfo> Find(const Digest& digest) const;
  // Sends a whole file that was verified, and removes it.
  absl::Status Publish(const std::string& part_path, const Digest& digest, uint64_t size)
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Send(const std::string& part_path, const Digest& digest, uint64_t size);
  absl::Status SendParts(int descriptor, const std::string& path, const std::string& key,
                         uint64_t size);
  absl::Status MoveToQuarantine(const Digest& digest);
  absl::Status CheckDirectUpload(const Digest& digest, uint64_t size_bytes);
  // One thread at a time changes a blob: waits for its turn, resp. lets the next one on.
  void BeginChange(const Digest& digest) ABSL_LOCKS_EXCLUDED(mu_);
  void EndChange(const Digest& digest) ABSL_LOCKS_EXCLUDED(mu_);
  // Keeps the count; nullopt: it is gone.
  void SetSize(const Digest& digest, std::optional<uint64_t> size) ABSL_LOCKS_EXCLUDED(mu_);

  const Config config_;
  const Clock* const clock_;
  S3CredentialsSource credentials_;
  mutable S3Client client_;
  std::unique_ptr<UploadSpool> spool_;  // Constant after Open(), as is the next one.
  bool direct_uploads_ = false;
  Mutex mu_;
  CondVar changed_;
  std::set<Digest> changing_ ABSL_GUARDED_BY(mu_);
  // Sizes of blobs, by the first 64 bits of their digests: enough to count bytes by.
  absl::flat_hash_map<uint64_t, uint64_t> sizes_ ABSL_GUARDED_BY(mu_);
};

}  // namespace distill::storage
