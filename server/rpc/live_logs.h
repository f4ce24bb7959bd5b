// Passes logs of running attempts from their workers to whoever follows them. Nothing is stored: a
// worker is asked for a log only while somebody follows it, from where the follower stands, and
// what a follower has not taken yet is bounded. So followers cost memory, and logs do not; after a
// restart of the server everybody simply asks again.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "base/ids.h"
#include "base/mutex.h"

namespace distill::server {

// What waits for one follower. Thread-safe. Shared by LiveLogs, which fills it, and the
// subscription, which empties it.
class LogQueue {
 public:
  static constexpr size_t kMostBytes = 256 << 10;

  LogQueue(int64_t offset, std::function<void()> wake)
      : wake_(std::move(wake)), next_offset_(offset) {}

  struct Piece {
    int64_t offset = 0;
    std::string bytes;
  };
  // Returns what has come and was not taken yet; no bytes when there is nothing.
  Piece Take() ABSL_LOCKS_EXCLUDED(mu_);
  // Keeps what of the piece is new to the follower, as far as there is room.
  void Push(int64_t offset, absl::string_view bytes) ABSL_LOCKS_EXCLUDED(mu_);
  // From where on it lacks bytes.
  int64_t next_offset() const ABSL_LOCKS_EXCLUDED(mu_);
  // After this `wake` is not called again.
  void Detach() ABSL_LOCKS_EXCLUDED(mu_);
  bool detached() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  mutable Mutex mu_;
  std::function<void()> wake_ ABSL_GUARDED_BY(mu_);
  int64_t next_offset_ ABSL_GUARDED_BY(mu_);
  std::string waiting_ ABSL_GUARDED_BY(mu_);
};

// One follower of one log; destroying it ends the following. Thread-safe.
class LogSubscription {
 public:
  explicit LogSubscription(std::shared_ptr<LogQueue> queue) : queue_(std::move(queue)) {}
  ~LogSubscription() { queue_->Detach(); }
  LogSubscription(const LogSubscription&) = delete;
  LogSubscription& operator=(const LogSubscription&) = delete;

  LogQueue::Piece Take() { return queue_->Take(); }

 private:
  const std::shared_ptr<LogQueue> queue_;
};

// Thread-safe.
class LiveLogs {
 public:
  // `wake` is called, from any thread, when something came; it must neither block nor use the
  // subscription.
  std::unique_ptr<LogSubscription> Follow(const LeaseId& lease, int64_t offset,
                                          std::function<void()> wake) ABSL_LOCKS_EXCLUDED(mu_);

  // From where the lease's log is wanted; nothing when nobody follows it.
  std::optional<int64_t> WantedOffset(const LeaseId& lease) ABSL_LOCKS_EXCLUDED(mu_);
  // Hands a piece to the followers. Returns WantedOffset() afterwards: less than the end of the
  // piece when one of them is slow.
  std::optional<int64_t> Receive(const LeaseId& lease, int64_t offset, absl::string_view bytes)
      ABSL_LOCKS_EXCLUDED(mu_);

 private:
  using Queues = std::vector<std::shared_ptr<LogQueue>>;

  // The followers of a lease; forgets those that are gone.
  Queues Find(const LeaseId& lease) ABSL_LOCKS_EXCLUDED(mu_);

  Mutex mu_;
  std::map<LeaseId, Queues> queues_ ABSL_GUARDED_BY(mu_);
  // So that heartbeats, of which there are many, need no lock while nobody follows anything.
  std::atomic<bool> any_{false};
};

}  // namespace distill::server
