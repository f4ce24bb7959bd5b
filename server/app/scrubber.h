// Reads stored blobs again, slowly and without end, and compares them with their digests: what a
// disk or an object store lost is found before somebody needs it. A corrupt blob is set aside and
// thereby absent, so its producer runs again if a job still needs it. Objects that no record knows
// (a server died between storing and recording, or a late direct upload) get one, and retention
// removes them.
#pragma once

#include <cstdint>
#include <set>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "server/engine/driver.h"
#include "storage/blob/blob_store.h"
#include "storage/state/state_store.h"

namespace distill::server {

// Owns one thread. Thread-safe.
class Scrubber {
 public:
  struct Config {
    uint64_t bytes_per_second = 8 << 20;        // Of reading; more than 0.
    absl::Duration interval = absl::Hours(24);  // From the start of a round to the next one's.
  };
  // Borrowed.
  struct Dependencies {
    Driver* driver;
    const storage::StateStore* store;
    storage::BlobStore* blobs;
    const Clock* clock;
    Metrics* metrics;
  };

  Scrubber(const Config& config, const Dependencies& dependencies);
  // Stops.
  ~Scrubber();

  void Start();
  // Joins the thread. Idempotent.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  // All blobs once.
  void RunRound();
  // Reads one blob; OK when it is what it should be, or was removed on purpose.
  absl::Status Scrub(const Digest& digest);
  absl::Status ReadAndCompare(const Digest& digest);
  // Records what is stored and was unknown in the last round already.
  void AdoptOrphans();
  // Waits until `time`; false when stopping.
  bool WaitUntil(MonotonicTime time) ABSL_LOCKS_EXCLUDED(mu_);

  const Config config_;
  const Dependencies dependencies_;
  Counter& scrubbed_bytes_;
  Gauge& last_round_;
  std::set<Digest> orphans_;  // Of the last round; the thread's own.
  Mutex mu_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace distill::server
