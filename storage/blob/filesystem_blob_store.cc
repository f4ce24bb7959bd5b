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
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "storage/blob/upload_checks.h"

namespace distill::storage {
namespace {

constexpr size_t kChunkBytes = 1 << 20;
constexpr absl::string_view kPartSuffix = ".part";

// A file descriptor that closes itself.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~Descriptor() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  int get() const { return descriptor_; }
  bool open() const { return descriptor_ >= 0; }

 private:
  int descriptor_ = -1;
};

absl::StatusOr<Descriptor> OpenFile(const std::string& path, int flags) {
  Descriptor descriptor(open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!descriptor.open()) return ErrnoStatus(errno, "open", path);
  struct stat info {};
  if (fstat(descriptor.get(), &info) != 0) return ErrnoStatus(errno, "stat", path);
  if (!S_ISREG(info.st_mode)) return ErrnoStatus(EISDIR, "open", path);
  return descriptor;
}

// Returns the size of a regular file; nullopt when there is none of that name.
absl::StatusOr<std::optional<uint64_t>> RegularFileSize(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return std::nullopt;
    return ErrnoStatus(errno, "stat", path);
  }
  if (!S_ISREG(info.st_mode)) return std::nullopt;
  return static_cast<uint64_t>(info.st_size);
}

absl::StatusOr<size_t> ReadAt(int descriptor, uint64_t offset, char* out, size_t size,
                              const std::string& path) {
  size_t total = 0;
  while (total < size) {
    const ssize_t got =
        pread(descriptor, out + total, size - total, static_cast<off_t>(offset + total));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "read", path);
    if (got == 0) break;
    total += static_cast<size_t>(got);
  }
  return total;
}

absl::Status WriteAt(int descriptor, uint64_t offset, absl::string_view bytes,
                     const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written =
        pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "write", path);
    bytes.remove_prefix(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return absl::OkStatus();
}

// Hashes what is in the file into `builder`. Returns how many bytes that were.
absl::StatusOr<uint64_t> HashFile(int descriptor, const std::string& path, DigestBuilder& builder) {
  std::vector<char> buffer(kChunkBytes);
  uint64_t offset = 0;
  while (true) {
    DISTILL_ASSIGN_OR_RETURN(const size_t got,
                             ReadAt(descriptor, offset, buffer.data(), buffer.size(), path));
    builder.Append(absl::string_view(buffer.data(), got));
    offset += got;
    if (got < buffer.size()) return offset;
  }
}

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

class FilesystemBlobStore::Upload : public BlobUpload {
 public:
  // Opens the part, which is reserved for this session, and reads what it has. On error the part
  // is released again.
  static absl::StatusOr<std::unique_ptr<BlobUpload>> Resume(FilesystemBlobStore& store,
                                                            std::string upload_id, Digest digest,
                                                            uint64_t size) {
    auto upload = std::make_unique<Upload>(store, std::move(upload_id), std::move(digest), size);
    DISTILL_RETURN_IF_ERROR(upload->OpenPart());
    return upload;
  }

  Upload(FilesystemBlobStore& store, std::string upload_id, Digest digest, uint64_t size)
      : store_(&store),
        upload_id_(std::move(upload_id)),
        path_(store.PartPath(upload_id_)),
        expected_digest_(std::move(digest)),
        expected_size_(size) {}

  ~Upload() override {
    if (!finished_) store_->Release(upload_id_, committed_size_, /*keep=*/true);
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
    store_->SetCommitted(upload_id_, committed_size_);
    return absl::OkStatus();
  }

  absl::Status Commit() override {
    if (finished_) return UploadFinished(upload_id_);
    finished_ = true;
    absl::Status status = CheckFinished(upload_id_, expected_digest_, expected_size_,
                                        digest_.Finish(), committed_size_, resumed_);
    // After a failed sync the kernel may have dropped the pages and call them clean, so such a
    // part is as bad as a wrong one.
    if (status.ok() && fdatasync(descriptor_.get()) != 0) {
      status = ErrnoStatus(errno, "sync", path_);
    }
    if (status.ok()) {
      status = store_->Publish(path_, expected_digest_, expected_size_);
    } else {
      const absl::Status removed = RemoveFile(path_);
      if (!removed.ok()) LogWarning("part of a failed upload stays", {{"status", removed}});
    }
    store_->Release(upload_id_, committed_size_, /*keep=*/!status.ok() && FileExists(path_));
    return status;
  }

 private:
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
    store_->SetCommitted(upload_id_, committed_size_);
    return absl::OkStatus();
  }

  FilesystemBlobStore* const store_;
  const std::string upload_id_;
  const std::string path_;
  const Digest expected_digest_;
  const uint64_t expected_size_;
  Descriptor descriptor_;
  DigestBuilder digest_;
  uint64_t committed_size_ = 0;
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

std::string FilesystemBlobStore::PartPath(absl::string_view upload_id) const {
  return absl::StrCat(config_.root, "/uploads/", upload_id, kPartSuffix);
}

absl::Status FilesystemBlobStore::Scan() {
  for (const char* name : {"/blobs/sha256", "/uploads", "/quarantine"}) {
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
  DISTILL_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                           ListDirectory(absl::StrCat(config_.root, "/uploads")));
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
  for (const BlobInfo& blob : blobs) blob_bytes_ += blob.size_bytes;
  parts_ = std::move(parts);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<BlobUpload>> FilesystemBlobStore::StartUpload(
    absl::string_view upload_id, const Digest& expected_digest, uint64_t expected_size) {
  DISTILL_RETURN_IF_ERROR(CheckUpload(upload_id, expected_digest));
  const std::string id(upload_id);
  const absl::StatusOr<uint64_t> present = Stat(expected_digest);
  if (!present.ok() && !absl::IsNotFound(present.status())) return present.status();
  // A file of another size is corrupt, and a good copy is welcome: it replaces the bad one.
  if (present.ok() && *present == expected_size) {
    DISTILL_RETURN_IF_ERROR(DiscardUpload(upload_id));
    return std::make_unique<PresentUpload>(id, expected_size);
  }
  DISTILL_RETURN_IF_ERROR(Reserve(id, expected_size));
  return Upload::Resume(*this, id, expected_digest, expected_size);
}

absl::Status FilesystemBlobStore::Reserve(const std::string& upload_id, uint64_t expected_size) {
  DISTILL_ASSIGN_OR_RETURN(const uint64_t free_bytes, FreeDiskBytes(config_.root));
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
  const uint64_t missing = expected_size - std::min(own, expected_size);
  if (free_bytes < config_.low_water_free_bytes ||
      missing > free_bytes - config_.low_water_free_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "cannot store blob: the disk is nearly full; free space on it or delete finished jobs; "
        "root=",
        config_.root, " free_bytes=", free_bytes, " wanted_bytes=", missing,
        " low_water_free_bytes=", config_.low_water_free_bytes));
  }
  parts_[upload_id] = {own, expected_size, /*in_use=*/true};
  return absl::OkStatus();
}

void FilesystemBlobStore::Release(const std::string& upload_id, uint64_t committed_bytes,
                                  bool keep) {
  const MutexLock lock(mu_);
  if (keep) {
    parts_[upload_id] = {committed_bytes, committed_bytes, /*in_use=*/false};
  } else {
    parts_.erase(upload_id);
  }
}

void FilesystemBlobStore::SetCommitted(const std::string& upload_id, uint64_t committed_bytes) {
  const MutexLock lock(mu_);
  parts_[upload_id].committed_bytes = committed_bytes;
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
  if (renamed) blob_bytes_ += size - replaced->value_or(0);
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
  DISTILL_RETURN_IF_ERROR(CheckUploadId(upload_id));
  const MutexLock lock(mu_);
  const auto found = parts_.find(std::string(upload_id));
  return found == parts_.end() ? 0 : found->second.committed_bytes;
}

absl::StatusOr<std::vector<UploadInfo>> FilesystemBlobStore::ListUploads() const {
  const MutexLock lock(mu_);
  std::vector<UploadInfo> uploads;
  for (const auto& [id, part] : parts_) uploads.push_back({id, part.committed_bytes, part.in_use});
  return uploads;
}

absl::Status FilesystemBlobStore::DiscardUpload(absl::string_view upload_id) {
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
  const MutexLock lock(mu_);
  blob_bytes_ -= std::min(blob_bytes_, removed_bytes);
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

uint64_t FilesystemBlobStore::used_bytes() const {
  const MutexLock lock(mu_);
  return UsedBytesLocked();
}

uint64_t FilesystemBlobStore::UsedBytesLocked() const {
  uint64_t used = blob_bytes_;
  for (const auto& [id, part] : parts_) {
    used +=
        part.in_use ? std::max(part.announced_size, part.committed_bytes) : part.committed_bytes;
  }
  return used;
}

}  // namespace distill::storage
