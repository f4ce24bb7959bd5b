// All that happens to one job, in order and without a gap: first what the state store has, then
// what the hub delivers, and the store again whenever the watcher was too slow for the hub.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/ids.h"
#include "distill/v1/job_service.pb.h"
#include "server/engine/watch_hub.h"
#include "storage/state/state_store.h"

namespace distill::server {

// Used by one thread at a time. Reads the state store, so not on the driver's thread.
class JobEventFeed {
 public:
  struct Options {
    int64_t after_revision = 0;
    bool include_progress = true;
  };
  struct Batch {
    std::vector<v1::JobEvent> events;
    // With these events the job has ended; there are no more.
    bool terminal = false;
  };

  // Events count from here on. `store` and `hub` must outlive this. `wake` is called, usually on
  // the driver's thread, when there may be something again after Next() gave nothing; perhaps at
  // other times too. It must not block and must not use this.
  JobEventFeed(const storage::StateStore& store, WatchHub& hub, const JobId& job,
               const Options& options, std::function<void()> wake);

  // What follows; empty and not terminal: nothing before `wake` is called. kNotFound: there is no
  // such job. kUnavailable: the server stops.
  absl::StatusOr<Batch> Next();

 private:
  absl::Status ReadHistory(Batch& batch);
  absl::Status TakeNews(Batch& batch);
  absl::Status Add(const std::vector<storage::EventRecord>& records, Batch& batch);

  const storage::StateStore& store_;
  const JobId job_;
  const bool include_progress_;
  const std::unique_ptr<WatchSubscription> subscription_;
  bool in_history_ = true;
  int64_t last_revision_;
  v1::Job shown_job_;
};

}  // namespace distill::server
