// A blob store that fails when a test says so.
//
//   MemoryBlobStore memory;
//   FaultyBlobStore store(memory);
//   store.FailCall(BlobCall::kCommit, 2, absl::UnavailableError("lost"),
//   FaultyBlobStore::When::kAfter);
#pragma once

#include <memory>
#include <vector>

#include "storage/blob/blob_store.h"

namespace distill::storage {

enum class BlobCall {
  kStartUpload,
  kAppend,
  kCommit,
  kDiscardUpload,
  kOpenReader,
  kRead,
  kStat,
  kList,
  kDelete,
  kVerify,
  kQuarantine,
};

// Passes calls on to another store, which must outlive it. Thread-safe.
class FaultyBlobStore : public BlobStore {
 public:
  // kBefore: the call has no effect. kAfter: it has, and only its reply is lost.
  enum class When { kBefore, kAfter };

  explicit FaultyBlobStore(BlobStore& store);
  ~FaultyBlobStore() override;

  // Makes the `nth` call of that kind from now on (1: the next one) fail with `status`.
  void FailCall(BlobCall call, int nth, absl::Status status, When when = When::kBefore);
  // How often that kind was called so far.
  int calls(BlobCall call) const;

  absl::StatusOr<std::unique_ptr<BlobUpload>> StartUpload(absl::string_view upload_id,
                                                          const Digest& expected_digest,
                                                          uint64_t expected_size) override;
  absl::StatusOr<uint64_t> UploadedBytes(absl::string_view upload_id) const override;
  absl::StatusOr<std::vector<UploadInfo>> ListUploads() const override;
  absl::Status DiscardUpload(absl::string_view upload_id) override;
  absl::StatusOr<std::unique_ptr<BlobReader>> OpenReader(const Digest& digest) const override;
  absl::StatusOr<uint64_t> Stat(const Digest& digest) const override;
  absl::StatusOr<std::vector<BlobInfo>> List() const override;
  absl::Status Delete(const Digest& digest) override;
  absl::Status Verify(const Digest& digest) const override;
  absl::Status Quarantine(const Digest& digest) override;
  uint64_t used_bytes() const override;

 private:
  class Faults;
  class Upload;
  class Reader;

  BlobStore* const store_;
  const std::unique_ptr<Faults> faults_;
};

}  // namespace distill::storage
