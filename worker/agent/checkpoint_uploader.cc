#include "worker/agent/checkpoint_uploader.h"

#include <pthread.h>

#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "worker/agent/backoff.h"
#include "worker/agent/publisher.h"
#include "worker/agent/transient_error.h"

namespace distill::worker {

CheckpointUploader::CheckpointUploader(BlobDestination& blobs, FullStoreLog& full_store_log,
                                       Metrics& metrics)
    : blobs_(&blobs),
      full_store_log_(&full_store_log),
      seconds_(metrics.AddHistogram("distill_worker_checkpoint_seconds",
                                    "Time to hash and upload one checkpoint.", LatencyBounds())) {}

CheckpointUploader::~CheckpointUploader() { Stop(); }

void CheckpointUploader::Start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "checkpoints");
    RunThread();
  });
}

void CheckpointUploader::Stop() {
  stop_.Cancel();
  {
    MutexLock lock(mu_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void CheckpointUploader::Offer(std::shared_ptr<LiveLease> lease, std::string path, int64_t step) {
  MutexLock lock(mu_);
  const std::string id = lease->id();
  offered_[id] = Offered{std::move(lease), std::move(path), step};
  changed_.NotifyAll();
}

void CheckpointUploader::Forget(const std::string& lease_id) {
  MutexLock lock(mu_);
  offered_.erase(lease_id);
}

void CheckpointUploader::RunThread() {
  Backoff backoff({}, /*seed=*/1);
  for (;;) {
    Offered offered;
    {
      MutexLock lock(mu_);
      while (offered_.empty() && !stopping_) changed_.Wait(mu_);
      if (stopping_) return;
      offered = offered_.begin()->second;
      offered_.erase(offered_.begin());
    }
    if (UploadOne(offered)) {
      backoff.Reset();
      continue;
    }
    {
      MutexLock lock(mu_);
      // Unless a newer one came meanwhile.
      offered_.emplace(offered.lease->id(), offered);
    }
    stop_.WaitFor(backoff.Next());
  }
}

bool CheckpointUploader::UploadOne(const Offered& offered) {
  const SystemClock clock;
  const MonotonicTime start = clock.Now();
  if (offered.lease->publication().cancelled()) return true;
  absl::StatusOr<LocalBlob> blob = DescribeBlob({"checkpoint", offered.path});
  if (blob.ok()) blob->lease = offered.lease->ref();
  const absl::Status status = blob.ok() ? blobs_->Upload(*blob, stop_) : blob.status();
  full_store_log_->Note(status);
  if (absl::IsResourceExhausted(status)) return false;
  if (status.ok()) {
    v1::ArtifactRef ref;
    ref.set_name("checkpoint");
    ref.set_digest(blob->digest.str());
    ref.set_size_bytes(blob->size_bytes);
    offered.lease->SetCheckpoint(ref, offered.step);
    seconds_.Observe(absl::ToDoubleSeconds(clock.Now() - start));
    return true;
  }
  // Deleted: the attempt is over, or a newer checkpoint has taken its place.
  if (absl::IsNotFound(status)) return true;
  LogWarning("checkpoint is not uploaded",
             {{"task", offered.lease->ref().task()}, {"step", offered.step}, {"error", status}});
  return !IsTransient(status);
}

}  // namespace distill::worker
