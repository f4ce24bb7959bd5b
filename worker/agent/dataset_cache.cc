#include "worker/agent/dataset_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "storage/archive/tar_reader.h"

namespace distill::worker {
namespace {

constexpr char kManifestSuffix[] = ".manifest";
constexpr char kPartialSuffix[] = ".part";
constexpr uint64_t kMostManifestBytes = 64 << 20;

absl::StatusOr<v1::DatasetManifest> ReadManifest(const std::string& path) {
  DISTILL_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMostManifestBytes));
  v1::DatasetManifest manifest;
  if (!manifest.ParseFromString(bytes) || manifest.content_bytes() < 0 || manifest.files() < 0) {
    return absl::DataLossError(
        absl::StrCat("cannot read data set: its manifest is no manifest; path=", path));
  }
  return manifest;
}

// Everything of the file system that holds `path` reaches the disk: a folder that is there after
// power loss is whole.
absl::Status SyncFileSystem(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return ErrnoStatus(errno, "open", path);
  const int result = syncfs(descriptor);
  const int error = errno;
  close(descriptor);
  return result == 0 ? absl::OkStatus() : ErrnoStatus(error, "sync", path);
}

}  // namespace

DatasetCache::DatasetCache(Config config, ArtifactCache& blobs, Metrics& metrics)
    : config_(std::move(config)),
      blobs_(&blobs),
      bytes_(metrics.AddGauge("distill_worker_dataset_cache_bytes",
                              "Bytes of data sets fetched from the server.")) {}

absl::StatusOr<std::unique_ptr<DatasetCache>> DatasetCache::Open(Config config,
                                                                 ArtifactCache& blobs,
                                                                 Metrics& metrics) {
  DISTILL_RETURN_IF_ERROR(CreateDirectories(config.directory));
  std::unique_ptr<DatasetCache> cache(new DatasetCache(std::move(config), blobs, metrics));
  DISTILL_RETURN_IF_ERROR(cache->Scan());
  return cache;
}

absl::Status DatasetCache::Scan() {
  DISTILL_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(config_.directory));
  std::vector<std::pair<int64_t, Digest>> by_age;
  MutexLock lock(mu_);
  for (const std::string& name : names) {
    const std::string path = JoinPath(config_.directory, name);
    const absl::string_view hex = absl::StripSuffix(name, kManifestSuffix);
    const absl::StatusOr<Digest> digest = Digest::Parse(absl::StrCat("sha256:", hex));
    if (digest.ok() && hex == name) {
      // A folder without its manifest was being removed when the last run ended.
      if (!FileExists(ManifestPathOf(*digest))) DISTILL_RETURN_IF_ERROR(RemoveTree(path));
      continue;
    }
    const absl::StatusOr<v1::DatasetManifest> manifest =
        digest.ok() ? ReadManifest(path) : absl::NotFoundError("not ours");
    struct stat info = {};
    if (!manifest.ok() || !FileExists(PathOf(*digest)) || stat(path.c_str(), &info) != 0) {
      DISTILL_RETURN_IF_ERROR(RemoveTree(path));
      continue;
    }
    entries_[*digest].size_bytes = manifest->content_bytes();
    entries_[*digest].present = true;
    total_bytes_ += manifest->content_bytes();
    by_age.emplace_back(info.st_mtime, *digest);
  }
  std::sort(by_age.begin(), by_age.end());
  for (const auto& [time, digest] : by_age) entries_[digest].last_use = ++uses_;
  bytes_.Set(static_cast<double>(total_bytes_));
  return absl::OkStatus();
}

std::string DatasetCache::PathOf(const Digest& manifest) const {
  return JoinPath(config_.directory, manifest.hex());
}

std::string DatasetCache::ManifestPathOf(const Digest& manifest) const {
  return absl::StrCat(PathOf(manifest), kManifestSuffix);
}

int64_t DatasetCache::size_bytes() const {
  MutexLock lock(mu_);
  return total_bytes_;
}

void DatasetCache::Unpin(const Digest& manifest) {
  MutexLock lock(mu_);
  --entries_[manifest].pins;
}

absl::StatusOr<DatasetCache::Pin> DatasetCache::Fetch(const Digest& manifest, CancelToken& cancel,
                                                      Digest* bad_blob) {
  {
    MutexLock lock(mu_);
    Entry* const entry = &entries_[manifest];
    ++entry->pins;  // Also keeps the entry while this call waits.
    while (entry->busy) {
      changed_.WaitFor(mu_, absl::Milliseconds(200));
      if (cancel.cancelled()) {
        --entry->pins;
        return absl::CancelledError("fetching the data set was cancelled");
      }
    }
    entry->last_use = ++uses_;
    if (entry->present) {
      // So that the order of use outlives the daemon.
      utimensat(AT_FDCWD, ManifestPathOf(manifest).c_str(), nullptr, 0);
      return Pin(*this, manifest);
    }
    entry->busy = true;
  }
  const absl::StatusOr<int64_t> size = Obtain(manifest, cancel, bad_blob);
  MutexLock lock(mu_);
  Entry& entry = entries_[manifest];
  entry.busy = false;
  entry.present = size.ok();
  changed_.NotifyAll();
  if (size.ok()) return Pin(*this, manifest);
  total_bytes_ -= entry.size_bytes;
  entry.size_bytes = 0;
  bytes_.Set(static_cast<double>(total_bytes_));
  if (--entry.pins == 0) entries_.erase(manifest);
  return size.status();
}

absl::StatusOr<int64_t> DatasetCache::Obtain(const Digest& digest, CancelToken& cancel,
                                             Digest* bad_blob) {
  *bad_blob = digest;
  v1::DatasetManifest manifest;
  {
    DISTILL_ASSIGN_OR_RETURN(const ArtifactCache::Pin pin, blobs_->Fetch(digest, cancel));
    DISTILL_ASSIGN_OR_RETURN(manifest, ReadManifest(pin.path()));
  }
  DISTILL_RETURN_IF_ERROR(Reserve(digest, manifest.content_bytes()));
  LogInfo("fetching data set", {{"dataset_digest", manifest.dataset_digest()},
                                {"bytes", manifest.content_bytes()},
                                {"shards", manifest.shards_size()}});
  const std::string partial = absl::StrCat(PathOf(digest), kPartialSuffix);
  DISTILL_RETURN_IF_ERROR(RemoveTree(partial));
  DISTILL_RETURN_IF_ERROR(CreateDirectories(partial));
  absl::Status unpacked = Unpack(manifest, partial, cancel, bad_blob);
  if (unpacked.ok()) unpacked = SyncFileSystem(partial);
  if (!unpacked.ok()) {
    RemoveTree(partial).IgnoreError();  // At the next start, then.
    return unpacked;
  }
  DISTILL_RETURN_IF_ERROR(RenameDurably(partial, PathOf(digest)));
  DISTILL_RETURN_IF_ERROR(
      WriteFileAtomically(ManifestPathOf(digest), manifest.SerializeAsString()));
  return manifest.content_bytes();
}

absl::Status DatasetCache::Unpack(const v1::DatasetManifest& manifest, const std::string& folder,
                                  CancelToken& cancel, Digest* bad_blob) {
  storage::TarLimits left;
  left.max_files = static_cast<uint64_t>(manifest.files());
  left.max_bytes = static_cast<uint64_t>(manifest.content_bytes());
  for (const v1::DatasetManifest::Shard& shard : manifest.shards()) {
    DISTILL_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(shard.digest()));
    *bad_blob = digest;
    {
      DISTILL_ASSIGN_OR_RETURN(const ArtifactCache::Pin pin, blobs_->Fetch(digest, cancel));
      DISTILL_ASSIGN_OR_RETURN(const storage::TarContent content,
                               storage::UnpackTar(pin.path(), folder, left));
      left.max_files -= content.files;
      left.max_bytes -= content.bytes;
    }
    // Unpacked, it would only push inputs out.
    blobs_->Drop(digest);
  }
  if (left.max_files == 0 && left.max_bytes == 0) return absl::OkStatus();
  return absl::DataLossError("cannot unpack data set: its archives hold less than announced");
}

absl::Status DatasetCache::Reserve(const Digest& manifest, int64_t bytes) {
  std::vector<Digest> evicted;
  absl::Status status;
  {
    MutexLock lock(mu_);
    while (status.ok() && total_bytes_ + bytes > config_.capacity_bytes) {
      auto oldest = entries_.end();
      for (auto it = entries_.begin(); it != entries_.end(); ++it) {
        if (it->second.pins > 0 || it->second.busy || !it->second.present) continue;
        if (oldest == entries_.end() || it->second.last_use < oldest->second.last_use) oldest = it;
      }
      if (oldest == entries_.end()) {
        status = absl::FailedPreconditionError(absl::StrCat(
            "cannot fetch data set: it does not fit beside those in use; raise "
            "--dataset-cache-bytes, or give this worker the files under the job's path; bytes=",
            bytes, " in_use=", total_bytes_, " capacity=", config_.capacity_bytes));
        break;
      }
      total_bytes_ -= oldest->second.size_bytes;
      // First the manifest: what is left of a removal that is cut short is not taken for whole.
      status = RemoveFile(ManifestPathOf(oldest->first));
      evicted.push_back(oldest->first);
      oldest->second = Entry();
      oldest->second.busy = true;
    }
    if (status.ok()) {
      entries_[manifest].size_bytes = bytes;
      total_bytes_ += bytes;
    }
    bytes_.Set(static_cast<double>(total_bytes_));
  }
  for (const Digest& digest : evicted) {
    const absl::Status removed = RemoveTree(PathOf(digest));
    if (!removed.ok()) LogWarning("cannot remove data set", {{"error", removed}});
  }
  MutexLock lock(mu_);
  for (const Digest& digest : evicted) {
    Entry& entry = entries_[digest];
    entry.busy = false;
    if (entry.pins == 0) entries_.erase(digest);
  }
  changed_.NotifyAll();
  return status;
}

}  // namespace distill::worker
