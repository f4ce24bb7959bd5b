// The system calls behind unfinished uploads. No lock is held across any of them.
#include "storage/blob/upload_spool.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "storage/blob/blob_file.h"
#include "storage/blob/upload_checks.h"

namespace distill::storage {
namespace {

constexpr absl::string_view kPartSuffix = ".part";
constexpr uint64_t kWritebackBytes = 8 << 20;

}  // namespace

class UploadSpool::Upload : public BlobUpload {
 public:
  // Opens the part, which is reserved for this session, and reads what it has. On error the part
  // is released again.
  static absl::StatusOr<std::unique_ptr<BlobUpload>> Resume(UploadSpool& spool,
                                                            std::string upload_id, Digest digest,
                                                            uint64_t size, Publish publish) {
    auto upload = std::make_unique<Upload>(spool, std::move(upload_id), std::move(digest), size,
                                           std::move(publish));
    DISTILL_RETURN_IF_ERROR(upload->OpenPart());
    return upload;
  }

  Upload(UploadSpool& spool, std::string upload_id, Digest digest, uint64_t size, Publish publish)
      : spool_(&spool),
        upload_id_(std::move(upload_id)),
        path_(spool.PartPath(upload_id_)),
        expected_digest_(std::move(digest)),
        expected_size_(size),
        publish_(std::move(publish)) {}

  ~Upload() override {
    if (!finished_) spool_->Release(upload_id_, committed_size_, /*keep=*/true);
  }

  bool already_present() const override { return false; }
  uint64_t committed_size() const override { return committed_size_; }

  absl::Status Append(uint64_t offset, absl::string_view bytes) override {
    if (finished_) return UploadFinished(upload_id_);
    DISTILL_RETURN_IF_ERROR(
        CheckAppend(upload_id_, offset, committed_size_, bytes.size(), expected_size_));
    if (bytes.empty()) return absl::OkStatus();
    const absl::Status written = WriteAt(descriptor_.get(), offset, bytes, path_);
    if (!written.ok()) {
      // Part of the bytes may be there: cut them off, so that a later session does not count them.
      if (ftruncate(descriptor_.get(), static_cast<off_t>(committed_size_)) != 0) {
        return Annotate(written, "cannot undo a failed append");
      }
      return written;
    }
    digest_.Append(bytes);
    committed_size_ += bytes.size();
    BeginWriteback();
    spool_->SetCommitted(upload_id_, committed_size_);
    return absl::OkStatus();
  }

  absl::Status Commit() override {
    if (finished_) return UploadFinished(upload_id_);
    finished_ = true;
    absl::Status status = CheckFinished(upload_id_, expected_digest_, expected_size_,
                                        digest_.Finish(), committed_size_, resumed_);
    // After a failed sync the kernel may have dropped the pages and call them clean, so such a
    // part is as bad as a wrong one.
    if (status.ok() && spool_->config_.sync_parts && fdatasync(descriptor_.get()) != 0) {
      status = ErrnoStatus(errno, "sync", path_);
    }
    if (status.ok()) {
      status = publish_(path_, expected_digest_, expected_size_);
    } else {
      const absl::Status removed = RemoveFile(path_);
      if (!removed.ok()) LogWarning("part of a failed upload stays", {{"status", removed}});
    }
    spool_->Release(upload_id_, committed_size_, /*keep=*/!status.ok() && FileExists(path_));
    return status;
  }

 private:
  // Lets the disk work while the rest arrives, so that the sync at the end finds little to do.
  void BeginWriteback() {
    if (!spool_->config_.sync_parts || committed_size_ - written_back_ < kWritebackBytes) return;
    sync_file_range(descriptor_.get(), static_cast<off64_t>(written_back_),
                    static_cast<off64_t>(committed_size_ - written_back_), SYNC_FILE_RANGE_WRITE);
    written_back_ = committed_size_;
  }

  absl::Status OpenPart() {
    DISTILL_ASSIGN_OR_RETURN(descriptor_, OpenFile(path_, O_RDWR | O_CREAT));
    DISTILL_ASSIGN_OR_RETURN(committed_size_, HashFile(descriptor_.get(), path_, digest_));
    if (committed_size_ > expected_size_) {
      // The part belongs to another blob, which was uploaded under the same id: start anew.
      if (ftruncate(descriptor_.get(), 0) != 0) return ErrnoStatus(errno, "truncate", path_);
      digest_ = DigestBuilder();
      committed_size_ = 0;
    }
    resumed_ = committed_size_ > 0;
    spool_->SetCommitted(upload_id_, committed_size_);
    return absl::OkStatus();
  }

  UploadSpool* const spool_;
  const std::string upload_id_;
  const std::string path_;
  const Digest expected_digest_;
  const uint64_t expected_size_;
  const Publish publish_;
  Descriptor descriptor_;
  DigestBuilder digest_;
  uint64_t committed_size_ = 0;
  uint64_t written_back_ = 0;
  bool resumed_ = false;
  bool finished_ = false;
};

namespace {

// What StartUpload() returns when nothing is left to be done.
class PresentUpload : public BlobUpload {
 public:
  PresentUpload(std::string upload_id, uint64_t size)
      : upload_id_(std::move(upload_id)), size_(size) {}
  bool already_present() const override { return true; }
  uint64_t committed_size() const override { return size_; }
  absl::Status Append(uint64_t, absl::string_view) override { return UploadFinished(upload_id_); }
  absl::Status Commit() override { return absl::OkStatus(); }

 private:
  const std::string upload_id_;
  const uint64_t size_;
};

}  // namespace

UploadSpool::UploadSpool(Config config) : config_(std::move(config)) {}

absl::StatusOr<std::unique_ptr<UploadSpool>> UploadSpool::Open(Config config) {
  std::unique_ptr<UploadSpool> spool(new UploadSpool(std::move(config)));
  DISTILL_RETURN_IF_ERROR(spool->Scan());
  return spool;
}

absl::Status UploadSpool::Scan() {
  DISTILL_RETURN_IF_ERROR(CreateDirectories(config_.directory));
  DISTILL_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(config_.directory));
  std::map<std::string, Part> parts;
  for (const std::string& name : names) {
    absl::string_view id = name;
    if (!absl::ConsumeSuffix(&id, kPartSuffix) || !IsValidIdText(id)) {
      LogWarning("file in uploads/ is not an upload, left alone", {{"name", name}});
      continue;
    }
    DISTILL_ASSIGN_OR_RETURN(const std::optional<uint64_t> size, RegularFileSize(PartPath(id)));
    if (size.has_value()) parts[std::string(id)] = {*size, *size, /*in_use=*/false};
  }
  const MutexLock lock(mu_);
  parts_ = std::move(parts);
  return absl::OkStatus();
}

std::string UploadSpool::PartPath(absl::string_view upload_id) const {
  return absl::StrCat(config_.directory, "/", upload_id, kPartSuffix);
}

absl::StatusOr<std::unique_ptr<BlobUpload>> UploadSpool::Start(absl::string_view upload_id,
                                                               const Digest& expected_digest,
                                                               uint64_t expected_size,
                                                               Publish publish) {
  const std::string id(upload_id);
  DISTILL_RETURN_IF_ERROR(Reserve(id, expected_size));
  return Upload::Resume(*this, id, expected_digest, expected_size, std::move(publish));
}

absl::StatusOr<std::unique_ptr<BlobUpload>> UploadSpool::StartPresent(absl::string_view upload_id,
                                                                      uint64_t size_bytes) {
  DISTILL_RETURN_IF_ERROR(Discard(upload_id));
  return std::make_unique<PresentUpload>(std::string(upload_id), size_bytes);
}

absl::Status UploadSpool::Reserve(const std::string& upload_id, uint64_t expected_size) {
  DISTILL_ASSIGN_OR_RETURN(const uint64_t free_bytes, FreeDiskBytes(config_.directory));
  const MutexLock lock(mu_);
  const auto found = parts_.find(upload_id);
  if (found == parts_.end() && parts_.size() >= config_.max_uploads) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot start upload: too many are unfinished; finish or discard some; "
                     "max_uploads=",
                     config_.max_uploads));
  }
  if (found != parts_.end() && found->second.in_use) return UploadInUse(upload_id);
  const uint64_t own = found == parts_.end() ? 0 : found->second.committed_bytes;
  DISTILL_RETURN_IF_ERROR(CheckRoom(UsedBytesLocked() - own, expected_size, config_.max_bytes));
  const uint64_t wanted = expected_size - std::min(own, expected_size);
  // What others have announced and not sent yet will take its place too.
  uint64_t taken = config_.low_water_free_bytes;
  for (const auto& [id, part] : parts_) {
    if (!part.in_use) continue;
    taken += part.announced_size - std::min(part.announced_size, part.committed_bytes);
  }
  if (free_bytes < taken || wanted > free_bytes - taken) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "cannot store blob: the disk is nearly full; free space on it or delete finished jobs, "
        "uploads wait meanwhile; directory=",
        config_.directory, " free_bytes=", free_bytes, " wanted_bytes=", wanted,
        " low_water_free_bytes=", config_.low_water_free_bytes,
        " announced_bytes=", taken - config_.low_water_free_bytes));
  }
  parts_[upload_id] = {own, expected_size, /*in_use=*/true};
  return absl::OkStatus();
}

void UploadSpool::Release(const std::string& upload_id, uint64_t committed_bytes, bool keep) {
  const MutexLock lock(mu_);
  if (keep) {
    parts_[upload_id] = {committed_bytes, committed_bytes, /*in_use=*/false};
  } else {
    parts_.erase(upload_id);
  }
}

void UploadSpool::SetCommitted(const std::string& upload_id, uint64_t committed_bytes) {
  const MutexLock lock(mu_);
  parts_[upload_id].committed_bytes = committed_bytes;
}

absl::StatusOr<uint64_t> UploadSpool::UploadedBytes(absl::string_view upload_id) const {
  DISTILL_RETURN_IF_ERROR(CheckUploadId(upload_id));
  const MutexLock lock(mu_);
  const auto found = parts_.find(std::string(upload_id));
  return found == parts_.end() ? 0 : found->second.committed_bytes;
}

absl::StatusOr<std::vector<UploadInfo>> UploadSpool::List() const {
  std::vector<UploadInfo> uploads;
  {
    const MutexLock lock(mu_);
    for (const auto& [id, part] : parts_) {
      uploads.push_back({id, part.committed_bytes, part.in_use, absl::InfiniteFuture()});
    }
  }
  for (UploadInfo& upload : uploads) {
    struct stat info {};
    if (lstat(PartPath(upload.upload_id).c_str(), &info) != 0) continue;  // Just begun or ended.
    upload.last_use = absl::TimeFromTimespec(info.st_mtim);
  }
  return uploads;
}

absl::Status UploadSpool::Discard(absl::string_view upload_id) {
  DISTILL_RETURN_IF_ERROR(CheckUploadId(upload_id));
  const std::string id(upload_id);
  uint64_t committed_bytes = 0;
  {
    const MutexLock lock(mu_);
    const auto found = parts_.find(id);
    if (found == parts_.end()) return absl::OkStatus();
    if (found->second.in_use) return UploadInUse(upload_id);
    found->second.in_use = true;
    committed_bytes = found->second.committed_bytes;
  }
  const absl::Status removed = RemoveFile(PartPath(id));
  Release(id, committed_bytes, /*keep=*/!removed.ok());
  return removed;
}

void UploadSpool::CountStored(uint64_t added_bytes, uint64_t removed_bytes) {
  const MutexLock lock(mu_);
  stored_bytes_ += added_bytes;
  stored_bytes_ -= std::min(stored_bytes_, removed_bytes);
}

absl::Status UploadSpool::CheckRoomFor(uint64_t wanted_bytes) const {
  const MutexLock lock(mu_);
  return CheckRoom(UsedBytesLocked(), wanted_bytes, config_.max_bytes);
}

uint64_t UploadSpool::used_bytes() const {
  const MutexLock lock(mu_);
  return UsedBytesLocked();
}

uint64_t UploadSpool::UsedBytesLocked() const {
  uint64_t used = stored_bytes_;
  for (const auto& [id, part] : parts_) {
    used +=
        part.in_use ? std::max(part.announced_size, part.committed_bytes) : part.committed_bytes;
  }
  return used;
}

}  // namespace distill::storage
