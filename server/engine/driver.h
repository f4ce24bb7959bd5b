// The single writer: one thread that owns the scheduler core. It drains the queue of posted events,
// steps the core through them, commits all their mutations in one transaction, and only then
// replies. So whatever was acknowledged is durable, and whatever fails before the commit was never
// promised.
//
// If a commit fails the driver stops for good: every open and later call ends with kUnavailable,
// and `on_fatal` is told, so that the process can exit and recover from disk.
//
//   driver->Post(server::CancelJob{job}, [reactor](absl::StatusOr<server::Done> reply) { ... });
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/random_ids.h"
#include "server/engine/watch_hub.h"
#include "server/scheduler/core.h"
#include "storage/state/state_store.h"

namespace distill::server {

struct DriverConfig {
  CoreConfig core;
  // Events stepped before one commit.
  int max_batch = 512;
  // Above this many queued events Post refuses with kResourceExhausted.
  int max_queue = 100000;
  // Kinds of tasks whose series exist from the start.
  std::vector<std::string> task_kinds;
  WatchHubConfig watch;
};

struct DriverDependencies {
  storage::StateStore* store;  // Written by the driver alone.
  const Clock* clock;
  IdSource* ids;
  Metrics* metrics;
  // Removes blobs from the blob store, and then posts BlobsGone. Called on the driver's thread;
  // must not block. May be null: then nothing is ever removed.
  std::function<void(std::vector<Digest>)> unlink_blobs;
  // Called once, on the driver's thread, after a failed commit. Null: the failure is logged.
  std::function<void(const absl::Status&)> on_fatal;
};

// Thread-safe, but for RunOnce(). Callbacks run on the driver's thread, after the commit, or inside
// Post when the driver refuses; they must not block, and may post again.
class Driver {
 public:
  template <typename Body>
  using Callback = std::function<void(absl::StatusOr<Body>)>;

  // Loads the store and recovers the core. Blocks for I/O. kDataLoss and the store's errors.
  static absl::StatusOr<std::unique_ptr<Driver>> Open(const DriverConfig& config,
                                                      const DriverDependencies& dependencies);
  virtual ~Driver() = default;

  // Queues any event body of events.h; `callback` gets its Reply, exactly once. Returns the number
  // of the call, for Abandon().
  template <typename EventType>
  uint64_t Post(EventType event, Callback<typename EventType::Reply> callback) {
    using Body = typename EventType::Reply;
    return PostEvent(EventBody(std::move(event)),
                     [callback = std::move(callback)](absl::Status status, ReplyBody body) {
                       if (!callback) return;
                       if (!status.ok()) {
                         callback(std::move(status));
                       } else {
                         callback(std::get<Body>(std::move(body)));
                       }
                     });
  }

  // The caller of an open AcquireTasks is gone: its callback is called with kCancelled and what it
  // would have been granted stays free. Nothing happens when the call is already answered.
  virtual void Abandon(uint64_t call) = 0;

  // Runs `query` with the core between two steps, on the driver's thread. For volatile facts only
  // (workers, progress, waiting reasons); durable ones come from the store. The core is null once
  // the driver stopped.
  virtual void PostQuery(std::function<void(const Core*, MonotonicTime now)> query) = 0;

  // Watchers of jobs. Thread-safe.
  virtual WatchHub& watch_hub() = 0;

  // OK until a commit failed or Stop() was called. Thread-safe.
  virtual absl::Status Health() const = 0;

  // Starts the thread. Either Start() or RunOnce() is used, not both.
  virtual void Start() = 0;
  // Answers every open call with kUnavailable and joins the thread. Idempotent. Not from a
  // callback.
  virtual void Stop() = 0;

  // Does one round without a thread: due deadlines, all queued events, one commit, replies. Returns
  // whether there was anything to do. For tests with a simulated clock.
  virtual bool RunOnce() = 0;
  // When RunOnce() must be called again though nothing is posted.
  virtual MonotonicTime NextDeadline() const = 0;

 protected:
  using RawCallback = std::function<void(absl::Status, ReplyBody)>;

 private:
  virtual uint64_t PostEvent(EventBody body, RawCallback callback) = 0;
};

}  // namespace distill::server
