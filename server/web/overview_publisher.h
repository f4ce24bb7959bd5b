// The overview that pages show: one snapshot a second for all that look with the same credentials,
// sent only when it differs from the one before.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "base/observability_server.h"

namespace distill::server {

// Thread-safe.
class OverviewPublisher {
 public:
  // Who looks, and at how much: those for whom it is equal share snapshots.
  struct Viewer {
    std::string authorization;
    bool with_queue = false;

    friend bool operator<(const Viewer& a, const Viewer& b) {
      return std::tie(a.authorization, a.with_queue) < std::tie(b.authorization, b.with_queue);
    }
  };
  // Returns a snapshot as JSON, on one line; may block. Thread-safe.
  using TakeSnapshot = std::function<absl::StatusOr<std::string>(const Viewer&)>;

  explicit OverviewPublisher(TakeSnapshot take_snapshot,
                             absl::Duration interval = absl::Seconds(1));
  // Stops. Streams may live on: they are over.
  ~OverviewPublisher();

  // Events "overview", the first at once; ends with "failure" when a snapshot cannot be taken.
  // Errors: those of the first snapshot.
  absl::StatusOr<std::unique_ptr<WebStream>> Subscribe(const Viewer& viewer)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Ends all streams. Idempotent.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  class Feed;
  class Stream;

  // Publishes to every feed that somebody reads, each interval.
  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  // Feeds that somebody reads; forgets the others.
  std::map<Viewer, std::shared_ptr<Feed>> LiveFeeds() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const TakeSnapshot take_snapshot_;
  const absl::Duration interval_;
  Mutex mu_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  // Owned by the streams that read them.
  std::map<Viewer, std::weak_ptr<Feed>> feeds_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace distill::server
