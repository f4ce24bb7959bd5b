// Inputs of tasks on local disk, by digest. Bounded in bytes: what was used longest ago goes first,
// but nothing that a running attempt has pinned. Whatever it hands out has been verified in this
// run of the daemon.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/digest.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "worker/agent/blob_client.h"
#include "worker/agent/cancel_token.h"

namespace distill::worker {

// Thread-safe. Two that ask for the same blob share one download.
class ArtifactCache {
 public:
  struct Config {
    std::string directory;
    int64_t capacity_bytes = 0;
    absl::Duration first_retry = absl::Milliseconds(100);
    absl::Duration longest_retry = absl::Seconds(5);
  };

  // Keeps a blob from being evicted, and tells where it is. Must not outlive the cache.
  class Pin {
   public:
    Pin(ArtifactCache& cache, Digest digest) : cache_(&cache), digest_(std::move(digest)) {}
    Pin(Pin&& other) noexcept : cache_(other.cache_), digest_(std::move(other.digest_)) {
      other.cache_ = nullptr;
    }
    Pin& operator=(Pin&&) = delete;
    ~Pin() {
      if (cache_ != nullptr) cache_->Unpin(digest_);
    }
    std::string path() const { return cache_->PathOf(digest_); }

   private:
    ArtifactCache* cache_;
    Digest digest_;
  };

  // Opens the directory and takes over what is in it. `source` and `metrics` must outlive the
  // cache.
  static absl::StatusOr<std::unique_ptr<ArtifactCache>> Open(Config config, BlobSource& source,
                                                             Metrics& metrics);

  // Returns the blob, downloading it if need be; retries while the server is away.
  // Errors: kNotFound (the server does not have it), kDataLoss (corrupt at the server, or arriving
  // wrong twice), kCancelled, kResourceExhausted (disk full), kInternal (disk).
  absl::StatusOr<Pin> Fetch(const Digest& digest, CancelToken& cancel) ABSL_LOCKS_EXCLUDED(mu_);

  // Adds a file that was made here and whose digest is known to be true, by hard link. Best effort.
  void Offer(const std::string& path, const Digest& digest) ABSL_LOCKS_EXCLUDED(mu_);

  // Forgets a blob that will hardly be asked for again, unless somebody uses it.
  void Drop(const Digest& digest) ABSL_LOCKS_EXCLUDED(mu_);

  // Digests of what is here, most recently used first.
  std::vector<std::string> Digests(size_t limit) const ABSL_LOCKS_EXCLUDED(mu_);
  int64_t size_bytes() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Entry {
    int64_t size_bytes = 0;
    int pins = 0;
    int64_t last_use = 0;
    bool busy = false;      // Being downloaded or verified; nobody else may touch the file.
    bool present = false;   // The file is complete.
    bool verified = false;  // In this run.
  };

  ArtifactCache(Config config, BlobSource& source, Metrics& metrics);
  absl::Status Scan() ABSL_LOCKS_EXCLUDED(mu_);
  std::string PathOf(const Digest& digest) const;
  std::string PartialPathOf(const Digest& digest) const;
  void Unpin(const Digest& digest) ABSL_LOCKS_EXCLUDED(mu_);
  // Makes the file complete and right; the caller has marked its entry busy.
  absl::Status Obtain(const Digest& digest, bool present, CancelToken& cancel);
  absl::Status DownloadWithRetries(const Digest& digest, CancelToken& cancel);
  absl::Status DownloadOnce(const Digest& digest, CancelToken& cancel);
  void Evict() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Config config_;
  BlobSource* const source_;
  Gauge& bytes_;
  Counter& hits_;
  Counter& misses_;
  Counter& corruptions_;
  mutable Mutex mu_;
  CondVar changed_;
  std::map<Digest, Entry> entries_ ABSL_GUARDED_BY(mu_);
  int64_t total_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t uses_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace distill::worker
