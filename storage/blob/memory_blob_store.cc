// See memory_blob_store.h.
#include "storage/blob/memory_blob_store.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "storage/blob/upload_checks.h"

namespace distill::storage {
namespace {

class MemoryBlobReader : public BlobReader {
 public:
  MemoryBlobReader(Digest digest, std::shared_ptr<const std::string> bytes)
      : digest_(std::move(digest)), bytes_(std::move(bytes)) {}

  uint64_t size_bytes() const override { return bytes_->size(); }

  absl::StatusOr<std::string> Read(uint64_t offset, uint64_t limit) const override {
    if (offset > bytes_->size()) return ReadBeyondEnd(digest_, offset, bytes_->size());
    return bytes_->substr(offset, limit);
  }

 private:
  const Digest digest_;
  const std::shared_ptr<const std::string> bytes_;  // Shared with the store.
};

}  // namespace

class MemoryBlobStore::Upload : public BlobUpload {
 public:
  // `partial` is the store's, in use by this session; null when the blob is present.
  Upload(MemoryBlobStore& store, std::string upload_id, Digest expected_digest,
         uint64_t expected_size, Partial* partial)
      : store_(&store),
        upload_id_(std::move(upload_id)),
        expected_digest_(std::move(expected_digest)),
        expected_size_(expected_size),
        partial_(partial),
        already_present_(partial == nullptr),
        resumed_(partial != nullptr && !partial->bytes.empty()) {}

  ~Upload() override {
    if (partial_ == nullptr) return;
    const MutexLock lock(store_->mu_);
    partial_->in_use = false;
  }

  bool already_present() const override { return already_present_; }

  uint64_t committed_size() const override {
    if (partial_ == nullptr) return expected_size_;
    const MutexLock lock(store_->mu_);
    return partial_->bytes.size();
  }

  absl::Status Append(uint64_t offset, absl::string_view bytes) override {
    if (partial_ == nullptr) return UploadFinished(upload_id_);
    const MutexLock lock(store_->mu_);
    DISTILL_RETURN_IF_ERROR(
        CheckAppend(upload_id_, offset, partial_->bytes.size(), bytes.size(), expected_size_));
    partial_->bytes.append(bytes.data(), bytes.size());
    return absl::OkStatus();
  }

  absl::Status Commit() override {
    if (already_present_) return absl::OkStatus();
    if (partial_ == nullptr) return UploadFinished(upload_id_);
    const MutexLock lock(store_->mu_);
    std::string bytes = std::move(partial_->bytes);
    partial_ = nullptr;
    store_->partials_.erase(upload_id_);
    DISTILL_RETURN_IF_ERROR(CheckFinished(upload_id_, expected_digest_, expected_size_,
                                          Digest::OfBytes(bytes), bytes.size(), resumed_));
    store_->blobs_[expected_digest_] = std::make_shared<const std::string>(std::move(bytes));
    return absl::OkStatus();
  }

 private:
  MemoryBlobStore* const store_;
  const std::string upload_id_;
  const Digest expected_digest_;
  const uint64_t expected_size_;
  Partial* partial_;  // Null once finished.
  const bool already_present_;
  const bool resumed_;
};

MemoryBlobStore::MemoryBlobStore(uint64_t max_bytes) : max_bytes_(max_bytes) {}
MemoryBlobStore::~MemoryBlobStore() = default;

absl::StatusOr<std::unique_ptr<BlobUpload>> MemoryBlobStore::StartUpload(
    absl::string_view upload_id, const Digest& expected_digest, uint64_t expected_size) {
  DISTILL_RETURN_IF_ERROR(CheckUpload(upload_id, expected_digest));
  const std::string id(upload_id);
  const MutexLock lock(mu_);
  const auto found = partials_.find(id);
  if (found != partials_.end() && found->second.in_use) return UploadInUse(upload_id);
  if (blobs_.count(expected_digest) > 0) {
    if (found != partials_.end()) partials_.erase(found);
    return std::make_unique<Upload>(*this, id, expected_digest, expected_size, nullptr);
  }
  const uint64_t own = found == partials_.end() ? 0 : found->second.bytes.size();
  DISTILL_RETURN_IF_ERROR(CheckRoom(UsedBytesLocked() - own, expected_size, max_bytes_));
  Partial& partial = partials_[id];
  if (partial.bytes.size() > expected_size) partial.bytes.clear();  // Of another blob.
  partial.announced_size = expected_size;
  partial.in_use = true;
  return std::make_unique<Upload>(*this, id, expected_digest, expected_size, &partial);
}

absl::StatusOr<uint64_t> MemoryBlobStore::UploadedBytes(absl::string_view upload_id) const {
  DISTILL_RETURN_IF_ERROR(CheckUploadId(upload_id));
  const MutexLock lock(mu_);
  const auto found = partials_.find(std::string(upload_id));
  return found == partials_.end() ? 0 : found->second.bytes.size();
}

absl::StatusOr<std::vector<UploadInfo>> MemoryBlobStore::ListUploads() const {
  const MutexLock lock(mu_);
  std::vector<UploadInfo> uploads;
  for (const auto& [id, partial] : partials_) {
    uploads.push_back({id, partial.bytes.size(), partial.in_use});
  }
  return uploads;
}

absl::Status MemoryBlobStore::DiscardUpload(absl::string_view upload_id) {
  DISTILL_RETURN_IF_ERROR(CheckUploadId(upload_id));
  const MutexLock lock(mu_);
  const auto found = partials_.find(std::string(upload_id));
  if (found == partials_.end()) return absl::OkStatus();
  if (found->second.in_use) return UploadInUse(upload_id);
  partials_.erase(found);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<BlobReader>> MemoryBlobStore::OpenReader(
    const Digest& digest) const {
  const MutexLock lock(mu_);
  const auto found = blobs_.find(digest);
  if (found == blobs_.end()) return BlobNotFound(digest);
  return std::make_unique<MemoryBlobReader>(digest, found->second);
}

absl::StatusOr<uint64_t> MemoryBlobStore::Stat(const Digest& digest) const {
  const MutexLock lock(mu_);
  const auto found = blobs_.find(digest);
  if (found == blobs_.end()) return BlobNotFound(digest);
  return found->second->size();
}

absl::StatusOr<std::vector<BlobInfo>> MemoryBlobStore::List() const {
  const MutexLock lock(mu_);
  std::vector<BlobInfo> blobs;
  for (const auto& [digest, bytes] : blobs_) blobs.push_back({digest, bytes->size()});
  return blobs;
}

absl::Status MemoryBlobStore::Delete(const Digest& digest) {
  const MutexLock lock(mu_);
  blobs_.erase(digest);
  return absl::OkStatus();
}

absl::Status MemoryBlobStore::Verify(const Digest& digest) const {
  DISTILL_ASSIGN_OR_RETURN(const std::unique_ptr<BlobReader> reader, OpenReader(digest));
  DISTILL_ASSIGN_OR_RETURN(const std::string bytes, reader->Read(0, reader->size_bytes()));
  const Digest got = Digest::OfBytes(bytes);
  return got == digest ? absl::OkStatus() : BlobCorrupt(digest, got);
}

absl::Status MemoryBlobStore::Quarantine(const Digest& digest) {
  const MutexLock lock(mu_);
  const auto found = blobs_.find(digest);
  if (found == blobs_.end()) return BlobNotFound(digest);
  quarantined_[digest] = std::move(found->second);
  blobs_.erase(found);
  return absl::OkStatus();
}

uint64_t MemoryBlobStore::used_bytes() const {
  const MutexLock lock(mu_);
  return UsedBytesLocked();
}

uint64_t MemoryBlobStore::UsedBytesLocked() const {
  uint64_t used = 0;
  for (const auto& [digest, bytes] : blobs_) used += bytes->size();
  for (const auto& [id, partial] : partials_) {
    used += partial.in_use ? partial.announced_size : partial.bytes.size();
  }
  return used;
}

}  // namespace distill::storage
