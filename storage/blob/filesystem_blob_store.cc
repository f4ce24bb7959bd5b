// The system calls behind the store. No lock is held across any of them; all files are opened
// without following links, so that a link planted in the tree leads nowhere.
#include "storage/blob/filesystem_blob_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "storage/blob/blob_file.h"
#include "storage/blob/upload_checks.h"

namespace distill::storage {
namespace {

class FilesystemBlobReader : public BlobReader {
 public:
  FilesystemBlobReader(Descriptor descriptor, uint64_t size_bytes, Digest digest, std::string path)
      : descriptor_(std::move(descriptor)),
        size_bytes_(size_bytes),
        digest_(std::move(digest)),
        path_(std::move(path)) {}

  uint64_t size_bytes() const override { return size_bytes_; }

  absl::StatusOr<std::string> Read(uint64_t offset, uint64_t limit) const override {
    if (offset > size_bytes_) return ReadBeyondEnd(digest_, offset, size_bytes_);
    std::string bytes(static_cast<size_t>(std::min(limit, size_bytes_ - offset)), '\0');
    DISTILL_ASSIGN_OR_RETURN(const size_t got,
                             ReadAt(descriptor_.get(), offset, bytes.data(), bytes.size(), path_));
    if (got != bytes.size()) {
      return absl::DataLossError(absl::StrCat(
          "cannot read blob: the file became shorter; path=", path_, " size_bytes=", size_bytes_));
    }
    return bytes;
  }

 private:
  const Descriptor descriptor_;
  const uint64_t size_bytes_;
  const Digest digest_;
  const std::string path_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<FilesystemBlobStore>> FilesystemBlobStore::Open(Config config) {
  std::unique_ptr<FilesystemBlobStore> store(new FilesystemBlobStore(std::move(config)));
  const absl::Status scanned = store->Scan();
  if (!scanned.ok()) return Annotate(scanned, "cannot open blob store");
  return store;
}

FilesystemBlobStore::FilesystemBlobStore(Config config) : config_(std::move(config)) {}
FilesystemBlobStore::~FilesystemBlobStore() = default;

std::string FilesystemBlobStore::BlobPath(const Digest& digest) const {
  const absl::string_view hex = digest.hex();
  return absl::StrCat(config_.root, "/blobs/sha256/", hex.substr(0, 2), "/", hex.substr(2, 2), "/",
                      hex);
}

absl::Status FilesystemBlobStore::Scan() {
  for (const char* name : {"/blobs/sha256", "/quarantine"}) {
    DISTILL_RETURN_IF_ERROR(CreateDirectories(absl::StrCat(config_.root, name)));
  }
  // An earlier process may have died between a rename and the fsync of its directory. One sync of
  // the file system makes all that is visible durable, so all of it may be served.
  {
    const Descriptor root(open(config_.root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root.open()) return ErrnoStatus(errno, "open", config_.root);
    if (syncfs(root.get()) != 0) return ErrnoStatus(errno, "sync", config_.root);
  }
  DISTILL_ASSIGN_OR_RETURN(const std::vector<BlobInfo> blobs, List());
  UploadSpool::Config spool;
  spool.directory = absl::StrCat(config_.root, "/uploads");
  spool.max_bytes = config_.max_bytes;
  spool.low_water_free_bytes = config_.low_water_free_bytes;
  spool.max_uploads = config_.max_uploads;
  DISTILL_ASSIGN_OR_RETURN(spool_, UploadSpool::Open(std::move(spool)));
  uint64_t blob_bytes = 0;
  for (const BlobInfo& blob : blobs) blob_bytes += blob.size_bytes;
  spool_->CountStored(blob_bytes, 0);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<BlobUpload>> FilesystemBlobStore::StartUpload(
    absl::string_view upload_id, const Digest& expected_digest, uint64_t expected_size) {
  DISTILL_RETURN_IF_ERROR(CheckUpload(upload_id, expected_digest));
  const absl::StatusOr<uint64_t> present = Stat(expected_digest);
  if (!present.ok() && !absl::IsNotFound(present.status())) return present.status();
  // A file of another size is corrupt, and a good copy is welcome: it replaces the bad one.
  if (present.ok() && *present == expected_size) {
    return spool_->StartPresent(upload_id, expected_size);
  }
  return spool_->Start(upload_id, expected_digest, expected_size,
                       [this](const std::string& part_path, const Digest& digest, uint64_t size) {
                         return Publish(part_path, digest, size);
                       });
}

absl::Status FilesystemBlobStore::EnsureDirectory(const std::string& directory) {
  {
    const MutexLock lock(mu_);
    if (durable_directories_.count(directory) > 0) return absl::OkStatus();
  }
  if (mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) {
    return ErrnoStatus(errno, "create directory", directory);
  }
  // Also when another thread made it: that one may not have synced it yet.
  DISTILL_RETURN_IF_ERROR(SyncDirectory(directory.substr(0, directory.rfind('/'))));
  const MutexLock lock(mu_);
  durable_directories_.insert(directory);
  return absl::OkStatus();
}

absl::Status FilesystemBlobStore::Publish(const std::string& part_path, const Digest& digest,
                                          uint64_t size) {
  const std::string path = BlobPath(digest);
  const std::string directory = path.substr(0, path.rfind('/'));
  DISTILL_RETURN_IF_ERROR(EnsureDirectory(directory.substr(0, directory.rfind('/'))));
  DISTILL_RETURN_IF_ERROR(EnsureDirectory(directory));
  BeginChange(digest);
  bool doubtful = false;
  {
    const MutexLock lock(mu_);
    doubtful = doubtful_.count(digest) > 0;
  }
  const absl::StatusOr<std::optional<uint64_t>> replaced = RegularFileSize(path);
  absl::Status status = replaced.status();
  if (status.ok()) {
    {
      const MutexLock lock(mu_);
      publishing_[digest] = doubtful || !replaced->has_value();
    }
    if (rename(part_path.c_str(), path.c_str()) != 0) {
      status = ErrnoStatus(errno, absl::StrCat("rename ", part_path, " to"), path);
    }
  }
  const bool renamed = status.ok();
  if (renamed) status = SyncDirectory(directory);
  const MutexLock lock(mu_);
  if (renamed) spool_->CountStored(size, replaced->value_or(0));
  if (status.ok()) {
    doubtful_.erase(digest);
  } else if (renamed && publishing_[digest]) {
    doubtful_.insert(digest);
  }
  publishing_.erase(digest);
  published_.NotifyAll();
  return status;
}

absl::StatusOr<uint64_t> FilesystemBlobStore::UploadedBytes(absl::string_view upload_id) const {
  return spool_->UploadedBytes(upload_id);
}

absl::StatusOr<std::vector<UploadInfo>> FilesystemBlobStore::ListUploads() const {
  return spool_->List();
}

absl::Status FilesystemBlobStore::DiscardUpload(absl::string_view upload_id) {
  return spool_->Discard(upload_id);
}

bool FilesystemBlobStore::IsHidden(const Digest& digest) const {
  const MutexLock lock(mu_);
  const auto found = publishing_.find(digest);
  if (found != publishing_.end() && found->second) return true;
  return doubtful_.count(digest) > 0;
}

absl::StatusOr<std::unique_ptr<BlobReader>> FilesystemBlobStore::OpenReader(
    const Digest& digest) const {
  if (digest.empty() || IsHidden(digest)) return BlobNotFound(digest);
  const std::string path = BlobPath(digest);
  absl::StatusOr<Descriptor> descriptor = OpenFile(path, O_RDONLY);
  if (absl::IsNotFound(descriptor.status())) return BlobNotFound(digest);
  if (!descriptor.ok()) return descriptor.status();
  struct stat info {};
  if (fstat(descriptor->get(), &info) != 0) return ErrnoStatus(errno, "stat", path);
  return std::make_unique<FilesystemBlobReader>(*std::move(descriptor),
                                                static_cast<uint64_t>(info.st_size), digest, path);
}

absl::StatusOr<uint64_t> FilesystemBlobStore::Stat(const Digest& digest) const {
  if (digest.empty() || IsHidden(digest)) return BlobNotFound(digest);
  DISTILL_ASSIGN_OR_RETURN(const std::optional<uint64_t> size, RegularFileSize(BlobPath(digest)));
  if (!size.has_value()) return BlobNotFound(digest);
  return *size;
}

absl::StatusOr<std::vector<BlobInfo>> FilesystemBlobStore::List() const {
  std::vector<BlobInfo> blobs;
  const std::string top = absl::StrCat(config_.root, "/blobs/sha256");
  DISTILL_ASSIGN_OR_RETURN(const std::vector<std::string> firsts, ListDirectory(top));
  for (const std::string& first : firsts) {
    const std::string middle = JoinPath(top, first);
    DISTILL_ASSIGN_OR_RETURN(const std::vector<std::string> seconds, ListDirectory(middle));
    for (const std::string& second : seconds) {
      const std::string leaf = JoinPath(middle, second);
      DISTILL_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(leaf));
      for (const std::string& name : names) {
        const absl::StatusOr<Digest> digest = Digest::Parse(absl::StrCat("sha256:", name));
        if (!digest.ok() || BlobPath(*digest) != JoinPath(leaf, name)) {
          LogWarning("file in blobs/ is not a blob, left alone", {{"path", JoinPath(leaf, name)}});
          continue;
        }
        const absl::StatusOr<uint64_t> size = Stat(*digest);
        if (absl::IsNotFound(size.status())) continue;  // Deleted meanwhile, or hidden.
        if (!size.ok()) return size.status();
        blobs.push_back({*digest, *size});
      }
    }
  }
  return blobs;
}

absl::Status FilesystemBlobStore::Delete(const Digest& digest) {
  if (digest.empty()) return absl::OkStatus();
  BeginChange(digest);
  const absl::StatusOr<uint64_t> removed = Unlink(BlobPath(digest));
  EndChange(digest, removed.value_or(0));
  return removed.status();
}

absl::StatusOr<uint64_t> FilesystemBlobStore::Unlink(const std::string& path) {
  DISTILL_ASSIGN_OR_RETURN(const std::optional<uint64_t> size, RegularFileSize(path));
  if (!size.has_value()) return 0;
  if (unlink(path.c_str()) == 0) return *size;
  if (errno == ENOENT) return 0;
  return ErrnoStatus(errno, "remove", path);
}

void FilesystemBlobStore::BeginChange(const Digest& digest) {
  const MutexLock lock(mu_);
  while (publishing_.count(digest) > 0) published_.Wait(mu_);
  publishing_[digest] = false;
}

void FilesystemBlobStore::EndChange(const Digest& digest, uint64_t removed_bytes) {
  spool_->CountStored(0, removed_bytes);
  const MutexLock lock(mu_);
  publishing_.erase(digest);
  published_.NotifyAll();
}

absl::Status FilesystemBlobStore::Verify(const Digest& digest) const {
  if (digest.empty() || IsHidden(digest)) return BlobNotFound(digest);
  const std::string path = BlobPath(digest);
  const absl::StatusOr<Descriptor> descriptor = OpenFile(path, O_RDONLY);
  if (absl::IsNotFound(descriptor.status())) return BlobNotFound(digest);
  if (!descriptor.ok()) return descriptor.status();
  DigestBuilder builder;
  const absl::StatusOr<uint64_t> hashed = HashFile(descriptor->get(), path, builder);
  if (!hashed.ok()) return hashed.status();
  const Digest got = builder.Finish();
  return got == digest ? absl::OkStatus() : BlobCorrupt(digest, got);
}

absl::Status FilesystemBlobStore::Quarantine(const Digest& digest) {
  BeginChange(digest);
  const absl::StatusOr<uint64_t> moved = MoveToQuarantine(digest);
  EndChange(digest, moved.value_or(0));
  return moved.status();
}

absl::StatusOr<uint64_t> FilesystemBlobStore::MoveToQuarantine(const Digest& digest) {
  DISTILL_ASSIGN_OR_RETURN(const uint64_t size, Stat(digest));
  const absl::Status renamed =
      RenameDurably(BlobPath(digest), absl::StrCat(config_.root, "/quarantine/", digest.hex()));
  if (absl::IsNotFound(renamed)) return BlobNotFound(digest);
  DISTILL_RETURN_IF_ERROR(renamed);
  LogWarning("blob quarantined", {{"digest", digest.str()}, {"size_bytes", size}});
  return size;
}

uint64_t FilesystemBlobStore::used_bytes() const { return spool_->used_bytes(); }

}  // namespace distill::storage
