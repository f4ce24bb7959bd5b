// Keeps a finished job's report: waits for each job to become terminal, then stores report.json and
// report.md as artifacts beside it. Done once per job; what failed is tried again, and whatever a
// crash prevented is made up for at the next start.
#pragma once

#include <map>
#include <memory>
#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "base/ids.h"
#include "base/mutex.h"
#include "server/engine/driver.h"
#include "server/rpc/io_executor.h"
#include "storage/blob/blob_store.h"
#include "storage/state/state_store.h"

namespace distill::server {

// Thread-safe. Destroy it after the driver and the executor have stopped.
class ReportPublisher {
 public:
  // Everything is borrowed.
  ReportPublisher(Driver& driver, const storage::StateStore& store, storage::BlobStore& blobs,
                  IoExecutor& executor);

  // Watches the jobs that run and publishes for those that ended without a report. Blocks for I/O;
  // once, before calls are served.
  absl::Status Recover();

  // Begins to watch a job. Idempotent; never blocks for I/O.
  void Track(const JobId& job) ABSL_LOCKS_EXCLUDED(mu_);
  // Tries those again whose report could not be stored. To be called now and then; never blocks.
  void RetryFailed() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Called when something happened to the job; on any thread, must not block.
  void Wake(const JobId& job) ABSL_LOCKS_EXCLUDED(mu_);
  void Failed(const JobId& job, const absl::Status& cause) ABSL_LOCKS_EXCLUDED(mu_);
  // Looks at the job and, if it is terminal, publishes. Blocks.
  void Examine(const JobId& job) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Publish(const JobId& job, const ProjectId& project);
  // Ends the watch.
  void Forget(const JobId& job) ABSL_LOCKS_EXCLUDED(mu_);

  Driver* const driver_;
  const storage::StateStore* const store_;
  storage::BlobStore* const blobs_;
  IoExecutor* const executor_;
  Mutex mu_;
  // Shared by the map and a call of Examine that is under way.
  std::map<JobId, std::shared_ptr<WatchSubscription>> watches_ ABSL_GUARDED_BY(mu_);
  std::set<JobId> publishing_ ABSL_GUARDED_BY(mu_);
  std::set<JobId> failed_ ABSL_GUARDED_BY(mu_);
};

}  // namespace distill::server
