// See faulty_blob_store.h.
#include "tests/support/faulty_blob_store.h"

#include <map>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"

namespace distill::storage {

// The script: which calls are to fail, and how many there were.
class FaultyBlobStore::Faults {
 public:
  void Add(BlobCall call, int nth, absl::Status status, When when) ABSL_LOCKS_EXCLUDED(mu_) {
    const MutexLock lock(mu_);
    faults_[{call, calls_[call] + nth}] = {std::move(status), when};
  }

  int calls(BlobCall call) ABSL_LOCKS_EXCLUDED(mu_) {
    const MutexLock lock(mu_);
    return calls_[call];
  }

  // Runs `operation` unless its call is to fail before; returns its result or the fault.
  template <typename Operation>
  auto Run(BlobCall call, Operation operation) -> decltype(operation()) {
    const Fault fault = Count(call);
    if (!fault.status.ok() && fault.when == When::kBefore) return fault.status;
    auto result = operation();
    if (!fault.status.ok()) return fault.status;
    return result;
  }

 private:
  struct Fault {
    absl::Status status;
    When when = When::kBefore;
  };

  Fault Count(BlobCall call) ABSL_LOCKS_EXCLUDED(mu_) {
    const MutexLock lock(mu_);
    const auto found = faults_.find({call, ++calls_[call]});
    return found == faults_.end() ? Fault() : found->second;
  }

  Mutex mu_;
  std::map<BlobCall, int> calls_ ABSL_GUARDED_BY(mu_);
  std::map<std::pair<BlobCall, int>, Fault> faults_ ABSL_GUARDED_BY(mu_);
};

class FaultyBlobStore::Upload : public BlobUpload {
 public:
  Upload(std::unique_ptr<BlobUpload> upload, Faults& faults)
      : upload_(std::move(upload)), faults_(&faults) {}
  bool already_present() const override { return upload_->already_present(); }
  uint64_t committed_size() const override { return upload_->committed_size(); }
  absl::Status Append(uint64_t offset, absl::string_view bytes) override {
    return faults_->Run(BlobCall::kAppend, [&] { return upload_->Append(offset, bytes); });
  }
  absl::Status Commit() override {
    return faults_->Run(BlobCall::kCommit, [&] { return upload_->Commit(); });
  }

 private:
  const std::unique_ptr<BlobUpload> upload_;
  Faults* const faults_;
};

class FaultyBlobStore::Reader : public BlobReader {
 public:
  Reader(std::unique_ptr<BlobReader> reader, Faults& faults)
      : reader_(std::move(reader)), faults_(&faults) {}
  uint64_t size_bytes() const override { return reader_->size_bytes(); }
  absl::StatusOr<std::string> Read(uint64_t offset, uint64_t limit) const override {
    return faults_->Run(BlobCall::kRead, [&] { return reader_->Read(offset, limit); });
  }

 private:
  const std::unique_ptr<BlobReader> reader_;
  Faults* const faults_;
};

FaultyBlobStore::FaultyBlobStore(BlobStore& store)
    : store_(&store), faults_(std::make_unique<Faults>()) {}
FaultyBlobStore::~FaultyBlobStore() = default;

void FaultyBlobStore::FailCall(BlobCall call, int nth, absl::Status status, When when) {
  faults_->Add(call, nth, std::move(status), when);
}

int FaultyBlobStore::calls(BlobCall call) const { return faults_->calls(call); }

absl::StatusOr<std::unique_ptr<BlobUpload>> FaultyBlobStore::StartUpload(
    absl::string_view upload_id, const Digest& expected_digest, uint64_t expected_size) {
  return faults_->Run(BlobCall::kStartUpload, [&]() -> absl::StatusOr<std::unique_ptr<BlobUpload>> {
    absl::StatusOr<std::unique_ptr<BlobUpload>> upload =
        store_->StartUpload(upload_id, expected_digest, expected_size);
    if (!upload.ok()) return upload.status();
    return std::make_unique<Upload>(*std::move(upload), *faults_);
  });
}

absl::StatusOr<uint64_t> FaultyBlobStore::UploadedBytes(absl::string_view upload_id) const {
  return store_->UploadedBytes(upload_id);
}

absl::StatusOr<std::vector<UploadInfo>> FaultyBlobStore::ListUploads() const {
  return store_->ListUploads();
}

absl::Status FaultyBlobStore::DiscardUpload(absl::string_view upload_id) {
  return faults_->Run(BlobCall::kDiscardUpload, [&] { return store_->DiscardUpload(upload_id); });
}

absl::StatusOr<std::unique_ptr<BlobReader>> FaultyBlobStore::OpenReader(
    const Digest& digest) const {
  return faults_->Run(BlobCall::kOpenReader, [&]() -> absl::StatusOr<std::unique_ptr<BlobReader>> {
    absl::StatusOr<std::unique_ptr<BlobReader>> reader = store_->OpenReader(digest);
    if (!reader.ok()) return reader.status();
    return std::make_unique<Reader>(*std::move(reader), *faults_);
  });
}

absl::StatusOr<uint64_t> FaultyBlobStore::Stat(const Digest& digest) const {
  return faults_->Run(BlobCall::kStat, [&] { return store_->Stat(digest); });
}

absl::StatusOr<std::vector<BlobInfo>> FaultyBlobStore::List() const {
  return faults_->Run(BlobCall::kList, [&] { return store_->List(); });
}

absl::Status FaultyBlobStore::Delete(const Digest& digest) {
  return faults_->Run(BlobCall::kDelete, [&] { return store_->Delete(digest); });
}

absl::Status FaultyBlobStore::Verify(const Digest& digest) const {
  return faults_->Run(BlobCall::kVerify, [&] { return store_->Verify(digest); });
}

absl::Status FaultyBlobStore::Quarantine(const Digest& digest) {
  return faults_->Run(BlobCall::kQuarantine, [&] { return store_->Quarantine(digest); });
}

uint64_t FaultyBlobStore::used_bytes() const { return store_->used_bytes(); }

}  // namespace distill::storage
