// Uploads checkpoints while training goes on, on a thread of its own. Only the newest of each lease
// matters: an older one that has not been sent yet is dropped.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "worker/agent/blob_client.h"
#include "worker/agent/full_store_log.h"
#include "worker/agent/live_lease.h"

namespace distill::worker {

// Thread-safe.
class CheckpointUploader {
 public:
  // All must outlive this.
  CheckpointUploader(BlobDestination& blobs, FullStoreLog& full_store_log, Metrics& metrics);
  // Stops.
  ~CheckpointUploader();

  void Start();
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

  // Uploads the file, which may vanish meanwhile, and tells the lease when the server has it.
  void Offer(std::shared_ptr<LiveLease> lease, std::string path, int64_t step)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Drops what is not being sent yet: the attempt has ended.
  void Forget(const std::string& lease_id) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Offered {
    std::shared_ptr<LiveLease> lease;  // Shared with the lease table.
    std::string path;
    int64_t step = 0;
  };

  void RunThread() ABSL_LOCKS_EXCLUDED(mu_);
  // One try. False: try again later.
  bool UploadOne(const Offered& offered);

  BlobDestination* const blobs_;
  FullStoreLog* const full_store_log_;
  Histogram& seconds_;
  CancelToken stop_;
  Mutex mu_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::map<std::string, Offered> offered_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace distill::worker
