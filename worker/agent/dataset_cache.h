// Registered data sets that this machine does not have under the job's path, unpacked on local disk
// from the server's copy. Bounded in bytes: what was used longest ago goes first, but nothing that
// a running attempt reads.
//
// Every blob is verified before it is unpacked, and the trainer compares the content of all images
// with the job's digest, as it does for files that were here before.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/digest.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "distill/v1/dataset_service.pb.h"
#include "worker/agent/artifact_cache.h"
#include "worker/agent/cancel_token.h"

namespace distill::worker {

// Thread-safe. Two that ask for the same data set share one download.
class DatasetCache {
 public:
  struct Config {
    std::string directory;
    int64_t capacity_bytes = 0;
  };

  // Keeps a data set from being evicted, and tells where it is. Must not outlive the cache.
  class Pin {
   public:
    Pin(DatasetCache& cache, Digest manifest) : cache_(&cache), manifest_(std::move(manifest)) {}
    Pin(Pin&& other) noexcept
        : cache_(std::exchange(other.cache_, nullptr)), manifest_(std::move(other.manifest_)) {}
    Pin& operator=(Pin&&) = delete;
    ~Pin() {
      if (cache_ != nullptr) cache_->Unpin(manifest_);
    }
    std::string path() const { return cache_->PathOf(manifest_); }

   private:
    DatasetCache* cache_;
    Digest manifest_;
  };

  // Opens the directory, takes over the whole data sets that are in it, and removes the rest.
  // `blobs` and `metrics` outlive the cache.
  static absl::StatusOr<std::unique_ptr<DatasetCache>> Open(Config config, ArtifactCache& blobs,
                                                            Metrics& metrics);

  // Returns the data set with this manifest, downloading it if need be. Blocks.
  // Errors: those of ArtifactCache::Fetch() for the blob at fault, which goes to `bad_blob`;
  // kResourceExhausted when it does not fit; kDataLoss when its archives are not what the manifest
  // says.
  absl::StatusOr<Pin> Fetch(const Digest& manifest, CancelToken& cancel, Digest* bad_blob)
      ABSL_LOCKS_EXCLUDED(mu_);

  int64_t size_bytes() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Entry {
    int64_t size_bytes = 0;
    int pins = 0;
    int64_t last_use = 0;
    bool busy = false;     // Being downloaded; nobody else may touch its folder.
    bool present = false;  // The folder is complete.
  };

  DatasetCache(Config config, ArtifactCache& blobs, Metrics& metrics);
  absl::Status Scan() ABSL_LOCKS_EXCLUDED(mu_);
  std::string PathOf(const Digest& manifest) const;
  // Beside a complete data set: its manifest.
  std::string ManifestPathOf(const Digest& manifest) const;
  void Unpin(const Digest& manifest) ABSL_LOCKS_EXCLUDED(mu_);
  // Makes the folder complete; the caller has marked its entry busy. Returns its size.
  absl::StatusOr<int64_t> Obtain(const Digest& manifest, CancelToken& cancel, Digest* bad_blob)
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Unpack(const v1::DatasetManifest& manifest, const std::string& folder,
                      CancelToken& cancel, Digest* bad_blob);
  // Sets `bytes` aside, evicting others for it.
  absl::Status Reserve(const Digest& manifest, int64_t bytes) ABSL_LOCKS_EXCLUDED(mu_);

  const Config config_;
  ArtifactCache* const blobs_;
  Gauge& bytes_;
  mutable Mutex mu_;
  CondVar changed_;
  std::map<Digest, Entry> entries_ ABSL_GUARDED_BY(mu_);
  int64_t total_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t uses_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace distill::worker
