// Blobs as files of one directory tree; the default store.
//
//   <root>/blobs/sha256/<aa>/<bb>/<hex>   published blobs
//   <root>/uploads/<upload id>.part       bytes of uploads that are not finished
//   <root>/quarantine/<hex>               corrupt blobs, for people
//
// Publishing is: fdatasync the part, make and sync the two directories, rename, fsync the
// directory. A crash before the rename leaves the part, which can be resumed. A crash between the
// rename and the last fsync leaves either the part or the whole blob, which then lacks only its
// acknowledgement; Open() makes what it finds durable before it serves any of it. Within one
// process the blob stays invisible until the last fsync has returned.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "storage/blob/blob_store.h"
#include "storage/blob/upload_spool.h"

namespace distill::storage {

// Thread-safe. One process at a time writes to a root: the caller holds a FileLock for it.
class FilesystemBlobStore : public BlobStore {
 public:
  struct Config {
    std::string root;
    uint64_t max_bytes = 0;             // Of all blobs and uploads; 0: no limit of ours.
    uint64_t low_water_free_bytes = 0;  // New uploads must leave that much free on the disk.
    size_t max_uploads = 4096;          // Unfinished ones, resumable and in use.
  };

  // Makes the directories, makes what is in them durable, and counts it. Blocks for a time that
  // grows with the number of blobs. Errors: those of base/file.h.
  static absl::StatusOr<std::unique_ptr<FilesystemBlobStore>> Open(Config config);
  ~FilesystemBlobStore() override;

  absl::StatusOr<std::unique_ptr<BlobUpload>> StartUpload(absl::string_view upload_id,
                                                          const Digest& expected_digest,
                                                          uint64_t expected_size) override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<uint64_t> UploadedBytes(absl::string_view upload_id) const override;
  absl::StatusOr<std::vector<UploadInfo>> ListUploads() const override;
  absl::Status DiscardUpload(absl::string_view upload_id) override;
  absl::StatusOr<std::unique_ptr<BlobReader>> OpenReader(const Digest& digest) const override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<uint64_t> Stat(const Digest& digest) const override ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::vector<BlobInfo>> List() const override ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Delete(const Digest& digest) override ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Verify(const Digest& digest) const override ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Quarantine(const Digest& digest) override ABSL_LOCKS_EXCLUDED(mu_);
  // Counted at Open() and kept up to date since; files that others remove still count until then.
  uint64_t used_bytes() const override;

 private:
  explicit FilesystemBlobStore(Config config);

  absl::Status Scan();
  std::string BlobPath(const Digest& digest) const;
  // Tells whether the name is taken by a blob whose durability is not certain yet.
  bool IsHidden(const Digest& digest) const ABSL_LOCKS_EXCLUDED(mu_);
  // Makes a directory durably, once a process.
  absl::Status EnsureDirectory(const std::string& directory) ABSL_LOCKS_EXCLUDED(mu_);
  // Gives a synced, verified file the name of its blob.
  absl::Status Publish(const std::string& part_path, const Digest& digest, uint64_t size)
      ABSL_LOCKS_EXCLUDED(mu_);
  // One thread at a time changes a blob's file, so that what is counted is what is there: waits
  // for its turn, resp. counts what went and lets the next one on.
  void BeginChange(const Digest& digest) ABSL_LOCKS_EXCLUDED(mu_);
  void EndChange(const Digest& digest, uint64_t removed_bytes) ABSL_LOCKS_EXCLUDED(mu_);
  // Between the two. Return the bytes that are no longer there.
  static absl::StatusOr<uint64_t> Unlink(const std::string& path);
  absl::StatusOr<uint64_t> MoveToQuarantine(const Digest& digest);

  const Config config_;
  std::unique_ptr<UploadSpool> spool_;  // Constant after Open().
  mutable Mutex mu_;
  CondVar published_;
  // Blobs being published, removed or set aside; one thread at a time each. The value hides the
  // blob: it is true while its first copy is not durable yet.
  std::map<Digest, bool> publishing_ ABSL_GUARDED_BY(mu_);
  // Blobs whose directory could not be synced: hidden until they are published again.
  std::set<Digest> doubtful_ ABSL_GUARDED_BY(mu_);
  std::set<std::string> durable_directories_ ABSL_GUARDED_BY(mu_);
};

}  // namespace distill::storage
