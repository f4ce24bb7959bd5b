// One slot: a thread that runs one lease set at a time, and between two keeps a warm trainer for a
// while.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "worker/agent/lease_set_run.h"

namespace distill::worker {

// Thread-safe.
class Slot {
 public:
  struct Config {
    LeaseSetRun::Config run;
    TrainerSeat::Config seat;
    // How long a warm trainer waits for more work of its job.
    absl::Duration warm_idle = absl::Seconds(30);
  };
  // All must outlive the slot.
  struct Dependencies {
    const Clock& clock;
    ArtifactCache& cache;
    DatasetCache& datasets;
    DifferingDatasets& differing_datasets;
    CheckpointUploader& checkpoints;
    Publisher& publisher;
    WorkerMetrics& metrics;
    // Called, without a lock held, whenever the slot has become free.
    std::function<void()> on_free;
    // Has the server told of the slot's leases soon.
    std::function<void()> report_soon;
  };

  Slot(Config config, Dependencies dependencies);
  // Stops.
  ~Slot();

  void Start();
  // Makes the slot kill its trainer and drop its lease set without an end; does not wait.
  void RequestStop();
  // RequestStop(), then joins. Idempotent.
  void Stop();

  // Takes a lease set. Requires a free slot that only the caller fills.
  void Assign(std::vector<std::shared_ptr<LiveLease>> leases) ABSL_LOCKS_EXCLUDED(mu_);
  bool free() const ABSL_LOCKS_EXCLUDED(mu_);
  // Job of the warm trainer of a free slot; "" otherwise.
  std::string warm_job() const ABSL_LOCKS_EXCLUDED(mu_);
  // Makes the slot look again at what is wished of its leases.
  void Wake() { wake_.Wake(); }

 private:
  void RunThread() ABSL_LOCKS_EXCLUDED(mu_);
  // Waits for work; ends a warm trainer that waited too long. Empty: stop.
  std::vector<std::shared_ptr<LiveLease>> AwaitAssignment() ABSL_LOCKS_EXCLUDED(mu_);
  std::vector<std::shared_ptr<LiveLease>> TakeAssignment() ABSL_LOCKS_EXCLUDED(mu_);
  void EndTrainer() ABSL_LOCKS_EXCLUDED(mu_);

  const Config config_;
  const Dependencies dependencies_;
  WakeDescriptor wake_;
  TrainerSeat seat_;  // Only on the slot's thread.
  std::atomic<bool> stopping_{false};
  mutable Mutex mu_;
  bool busy_ ABSL_GUARDED_BY(mu_) = false;
  std::string warm_job_ ABSL_GUARDED_BY(mu_);
  std::vector<std::shared_ptr<LiveLease>> assigned_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace distill::worker
