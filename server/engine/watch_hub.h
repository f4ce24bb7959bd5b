// Delivers what happens to jobs to their watchers: each durable event exactly once and in order of
// revision, progress as it comes and only the latest.
//
// A watcher subscribes first and then reads history from the state store on a thread of its own
// (the hub does no I/O), so that nothing falls between the two:
//
//   auto subscription = hub.Subscribe(job, after_revision, [reactor] { reactor->Wake(); });
//   1. store.EventsAfter(job, last, 500) until it returns nothing; `last` is the newest revision
//   sent
//   2. subscription->Next(), also without a wake, which may have come during 1: events above
//   `last`, and progress; when `lagged`, go to 1
//
// Memory is bounded: a subscriber whose queue is full loses it and is told that it lagged; the
// store still has everything from its last revision on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/types/span.h"
#include "base/ids.h"
#include "base/mutex.h"
#include "server/scheduler/effects.h"
#include "storage/state/records.h"

namespace distill::server {

struct WatchHubConfig {
  // Undelivered durable events of one subscriber before it lags.
  size_t max_queued_events = 4096;
};

// What a subscriber has not seen yet.
struct WatchBatch {
  std::vector<storage::EventRecord> events;  // In order of revision.
  std::vector<ProgressNews> progress;        // At most one per task; newest.
  // Events were dropped: read the store from the last revision seen, then go on here.
  bool lagged = false;
  // The hub was closed: nothing will come any more.
  bool closed = false;
  bool empty() const { return events.empty() && progress.empty() && !lagged && !closed; }
};

// The queue between the hub and one watcher. Thread-safe. Shared by the hub, which fills it, and
// the subscription, which empties it.
class WatchQueue {
 public:
  WatchQueue(size_t max_events, int64_t after_revision, std::function<void()> wake);

  void PushEvent(const storage::EventRecord& event) ABSL_LOCKS_EXCLUDED(mu_);
  void PushProgress(const ProgressNews& news) ABSL_LOCKS_EXCLUDED(mu_);
  void Close() ABSL_LOCKS_EXCLUDED(mu_);
  WatchBatch Take() ABSL_LOCKS_EXCLUDED(mu_);
  // After this `wake` is not called again.
  void Detach() ABSL_LOCKS_EXCLUDED(mu_);
  bool detached() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void WakeOnce() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const size_t max_events_;
  mutable Mutex mu_;
  std::function<void()> wake_ ABSL_GUARDED_BY(mu_);
  int64_t last_revision_ ABSL_GUARDED_BY(mu_);
  std::vector<storage::EventRecord> events_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, ProgressNews> progress_ ABSL_GUARDED_BY(mu_);
  bool lagged_ ABSL_GUARDED_BY(mu_) = false;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  bool woken_ ABSL_GUARDED_BY(mu_) = false;
};

// One watcher; destroying it ends the subscription. May outlive the hub. Thread-safe.
class WatchSubscription {
 public:
  explicit WatchSubscription(std::shared_ptr<WatchQueue> queue) : queue_(std::move(queue)) {}
  ~WatchSubscription() { queue_->Detach(); }
  WatchSubscription(const WatchSubscription&) = delete;
  WatchSubscription& operator=(const WatchSubscription&) = delete;

  // Takes everything that is queued; empty when there is nothing. Never blocks for long.
  WatchBatch Next() { return queue_->Take(); }

 private:
  const std::shared_ptr<WatchQueue> queue_;
};

// Thread-safe.
class WatchHub {
 public:
  explicit WatchHub(const WatchHubConfig& config) : config_(config) {}

  // Only events above `after_revision` are delivered. `wake` is called when something is there for
  // Next(), once until the next Next(), usually on the driver's thread. It must not block and must
  // not use the subscription.
  std::unique_ptr<WatchSubscription> Subscribe(const JobId& job, int64_t after_revision,
                                               std::function<void()> wake) ABSL_LOCKS_EXCLUDED(mu_);

  // By the driver, after each commit, in order of revision.
  void Publish(absl::Span<const storage::EventRecord* const> events,
               absl::Span<const ProgressNews> progress) ABSL_LOCKS_EXCLUDED(mu_);
  // Tells all present and future subscribers that nothing will come any more.
  void Close() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  using QueueMap = std::map<JobId, std::vector<std::shared_ptr<WatchQueue>>>;
  // Adds the queues of `job` to `targets`, and forgets those that are detached.
  void Collect(const JobId& job, QueueMap& targets) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const WatchHubConfig config_;
  Mutex mu_;
  QueueMap queues_ ABSL_GUARDED_BY(mu_);
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace distill::server
