#include "worker/agent/artifact_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "worker/agent/backoff.h"
#include "worker/agent/transient_error.h"

namespace distill::worker {
namespace {

constexpr char kPartialSuffix[] = ".part";
constexpr size_t kReadBytes = 1 << 20;

// A partial download: what is there already, and a place to add to it.
class PartialFile {
 public:
  static absl::StatusOr<PartialFile> Open(const std::string& path) {
    const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor < 0) return ErrnoStatus(errno, "open", path);
    PartialFile file(descriptor, path);
    DISTILL_RETURN_IF_ERROR(file.HashPresent());
    return file;
  }
  PartialFile(PartialFile&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)),
        path_(std::move(other.path_)),
        digest_(std::move(other.digest_)),
        size_(other.size_) {}
  ~PartialFile() {
    if (descriptor_ >= 0) close(descriptor_);
  }

  int64_t size() const { return size_; }

  absl::Status Append(absl::string_view bytes) {
    digest_.Append(bytes);
    size_ += static_cast<int64_t>(bytes.size());
    while (!bytes.empty()) {
      const ssize_t count = write(descriptor_, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return ErrnoStatus(errno, "write", path_);
      bytes.remove_prefix(static_cast<size_t>(count));
    }
    return absl::OkStatus();
  }

  Digest Finish() { return digest_.Finish(); }

 private:
  PartialFile(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}

  absl::Status HashPresent() {
    std::string buffer(kReadBytes, '\0');
    for (;;) {
      const ssize_t count = read(descriptor_, buffer.data(), buffer.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return ErrnoStatus(errno, "read", path_);
      if (count == 0) return absl::OkStatus();
      digest_.Append(absl::string_view(buffer.data(), static_cast<size_t>(count)));
      size_ += count;
    }
  }

  int descriptor_;
  std::string path_;
  DigestBuilder digest_;
  int64_t size_ = 0;
};

}  // namespace

ArtifactCache::ArtifactCache(Config config, BlobSource& source, Metrics& metrics)
    : config_(std::move(config)),
      source_(&source),
      bytes_(metrics.AddGauge("distill_worker_cache_bytes", "Bytes of inputs on local disk.")),
      hits_(metrics.AddCounter("distill_worker_cache_lookups_total", "Inputs asked for.",
                               {{"result", "hit"}})),
      misses_(metrics.AddCounter("distill_worker_cache_lookups_total", "Inputs asked for.",
                                 {{"result", "miss"}})),
      corruptions_(metrics.AddCounter("distill_worker_blob_corruption_total",
                                      "Blobs that were not what their digest says.")) {}

absl::StatusOr<std::unique_ptr<ArtifactCache>> ArtifactCache::Open(Config config,
                                                                   BlobSource& source,
                                                                   Metrics& metrics) {
  DISTILL_RETURN_IF_ERROR(CreateDirectories(config.directory));
  std::unique_ptr<ArtifactCache> cache(new ArtifactCache(std::move(config), source, metrics));
  DISTILL_RETURN_IF_ERROR(cache->Scan());
  return cache;
}

absl::Status ArtifactCache::Scan() {
  DISTILL_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(config_.directory));
  std::vector<std::pair<int64_t, Digest>> by_age;
  MutexLock lock(mu_);
  for (const std::string& name : names) {
    const std::string path = JoinPath(config_.directory, name);
    const absl::StatusOr<Digest> digest = Digest::Parse(absl::StrCat("sha256:", name));
    struct stat info = {};
    if (!digest.ok() || stat(path.c_str(), &info) != 0) {
      // Partial downloads stay, to be resumed; anything else is not ours.
      if (!absl::EndsWith(name, kPartialSuffix)) {
        LogWarning("unknown file in artifact cache", {{"path", path}});
      }
      continue;
    }
    entries_[*digest].size_bytes = info.st_size;
    entries_[*digest].present = true;
    total_bytes_ += info.st_size;
    by_age.emplace_back(info.st_mtime, *digest);
  }
  std::sort(by_age.begin(), by_age.end());
  for (const auto& [time, digest] : by_age) entries_[digest].last_use = ++uses_;
  Evict();
  return absl::OkStatus();
}

absl::StatusOr<ArtifactCache::Pin> ArtifactCache::Fetch(const Digest& digest, CancelToken& cancel) {
  bool present = false;
  {
    MutexLock lock(mu_);
    Entry* entry = &entries_[digest];
    ++entry->pins;  // Also keeps the entry while this call waits.
    while (entry->busy) {
      changed_.WaitFor(mu_, absl::Milliseconds(200));
      if (cancel.cancelled()) {
        --entry->pins;
        return absl::CancelledError(absl::StrCat("fetch was cancelled; digest=", digest.str()));
      }
    }
    entry->last_use = ++uses_;
    if (entry->present && entry->verified) {
      hits_.Increment();
      return Pin(*this, digest);
    }
    present = entry->present;
    entry->busy = true;
  }
  const absl::Status status = Obtain(digest, present, cancel);
  const absl::StatusOr<uint64_t> size = status.ok() ? FileSize(PathOf(digest)) : uint64_t{0};
  MutexLock lock(mu_);
  Entry& entry = entries_[digest];
  entry.busy = false;
  changed_.NotifyAll();
  total_bytes_ -= entry.size_bytes;
  entry.present = entry.verified = status.ok() && size.ok();
  entry.size_bytes = entry.present ? static_cast<int64_t>(*size) : 0;
  total_bytes_ += entry.size_bytes;
  if (!entry.present) {
    if (--entry.pins == 0) entries_.erase(digest);
    return status.ok() ? size.status() : status;
  }
  Evict();
  return Pin(*this, digest);
}

void ArtifactCache::Offer(const std::string& path, const Digest& digest) {
  const absl::StatusOr<uint64_t> size = FileSize(path);
  if (!size.ok()) return;
  MutexLock lock(mu_);
  if (entries_.count(digest) > 0) return;
  // A link is one quick system call, and it must not race with a download of the same blob.
  if (link(path.c_str(), PathOf(digest).c_str()) != 0) return;
  Entry& entry = entries_[digest];
  entry.size_bytes = static_cast<int64_t>(*size);
  entry.present = entry.verified = true;
  entry.last_use = ++uses_;
  total_bytes_ += entry.size_bytes;
  Evict();
}

void ArtifactCache::Drop(const Digest& digest) {
  MutexLock lock(mu_);
  const auto found = entries_.find(digest);
  if (found == entries_.end() || found->second.pins > 0 || found->second.busy) return;
  unlink(PathOf(digest).c_str());
  total_bytes_ -= found->second.size_bytes;
  entries_.erase(found);
  bytes_.Set(static_cast<double>(total_bytes_));
}

std::vector<std::string> ArtifactCache::Digests(size_t limit) const {
  std::vector<std::pair<int64_t, std::string>> by_use;
  {
    MutexLock lock(mu_);
    for (const auto& [digest, entry] : entries_) {
      if (entry.present) by_use.emplace_back(-entry.last_use, digest.str());
    }
  }
  std::sort(by_use.begin(), by_use.end());
  std::vector<std::string> digests;
  for (size_t i = 0; i < std::min(limit, by_use.size()); ++i) digests.push_back(by_use[i].second);
  return digests;
}

int64_t ArtifactCache::size_bytes() const {
  MutexLock lock(mu_);
  return total_bytes_;
}

std::string ArtifactCache::PathOf(const Digest& digest) const {
  return JoinPath(config_.directory, digest.hex());
}

std::string ArtifactCache::PartialPathOf(const Digest& digest) const {
  return absl::StrCat(PathOf(digest), kPartialSuffix);
}

void ArtifactCache::Unpin(const Digest& digest) {
  MutexLock lock(mu_);
  --entries_[digest].pins;
  Evict();
}

absl::Status ArtifactCache::Obtain(const Digest& digest, bool present, CancelToken& cancel) {
  if (present) {
    const absl::StatusOr<Digest> actual = DigestOfFile(PathOf(digest));
    if (actual.ok() && *actual == digest) {
      hits_.Increment();
      return absl::OkStatus();
    }
    corruptions_.Increment();
    LogWarning("cached blob is corrupt", {{"digest", digest.str()}});
    DISTILL_RETURN_IF_ERROR(RemoveFile(PathOf(digest)));
  }
  misses_.Increment();
  // A transfer may be damaged once; a second time it is the blob.
  absl::Status status = DownloadWithRetries(digest, cancel);
  if (absl::IsAborted(status)) status = DownloadWithRetries(digest, cancel);
  if (absl::IsAborted(status)) return absl::DataLossError(status.message());
  return status;
}

absl::Status ArtifactCache::DownloadWithRetries(const Digest& digest, CancelToken& cancel) {
  Backoff backoff({config_.first_retry, config_.longest_retry},
                  static_cast<uint64_t>(std::hash<std::string>()(digest.str())));
  for (;;) {
    const absl::Status status = DownloadOnce(digest, cancel);
    if (status.ok() || !IsTransient(status) || cancel.cancelled()) {
      return cancel.cancelled() && !status.ok() ? absl::CancelledError("fetch was cancelled")
                                                : status;
    }
    LogWarning("download will be retried", {{"digest", digest.str()}, {"error", status}});
    if (cancel.WaitFor(RetryDelay(status, backoff.Next()))) {
      return absl::CancelledError("fetch was cancelled");
    }
  }
}

// Returns kAborted, with nothing left on disk, when the bytes are not what the digest says.
absl::Status ArtifactCache::DownloadOnce(const Digest& digest, CancelToken& cancel) {
  const std::string partial = PartialPathOf(digest);
  {
    DISTILL_ASSIGN_OR_RETURN(PartialFile file, PartialFile::Open(partial));
    absl::Status disk;
    const absl::Status status =
        source_->Read(digest, file.size(), cancel, [&](absl::string_view bytes) {
          disk = file.Append(bytes);
          return disk;
        });
    // A full disk here is ours, and no reason to ask the server again.
    if (!disk.ok()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "cannot store input, free disk space or lower --cache-bytes: ", disk.message()));
    }
    if (absl::IsOutOfRange(status)) {  // The partial file is longer than the blob.
      DISTILL_RETURN_IF_ERROR(RemoveFile(partial));
      return absl::UnavailableError("partial download did not fit");
    }
    DISTILL_RETURN_IF_ERROR(status);
    const Digest actual = file.Finish();
    if (actual != digest) {
      corruptions_.Increment();
      DISTILL_RETURN_IF_ERROR(RemoveFile(partial));
      return absl::AbortedError(
          absl::StrCat("blob arrived corrupt; want=", digest.str(), " got=", actual.str()));
    }
  }
  // No fsync: after power loss the file is verified before its first use.
  if (rename(partial.c_str(), PathOf(digest).c_str()) != 0) {
    return ErrnoStatus(errno, "rename", partial);
  }
  return absl::OkStatus();
}

void ArtifactCache::Evict() {
  while (total_bytes_ > config_.capacity_bytes) {
    auto oldest = entries_.end();
    for (auto it = entries_.begin(); it != entries_.end(); ++it) {
      if (it->second.pins > 0 || it->second.busy || !it->second.present) continue;
      if (oldest == entries_.end() || it->second.last_use < oldest->second.last_use) oldest = it;
    }
    if (oldest == entries_.end()) break;  // All that is left is in use.
    unlink(PathOf(oldest->first).c_str());
    total_bytes_ -= oldest->second.size_bytes;
    entries_.erase(oldest);
  }
  bytes_.Set(static_cast<double>(total_bytes_));
}

}  // namespace distill::worker
