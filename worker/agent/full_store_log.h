// Tells the operator that the server has no room for blobs: at once, and then every minute as long
// as it stays so, however many uploads are waiting.
#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "base/clock.h"
#include "base/mutex.h"

namespace distill::worker {

// Thread-safe.
class FullStoreLog {
 public:
  explicit FullStoreLog(const Clock& clock) : clock_(&clock) {}

  // Takes the outcome of an upload. Those that are neither OK nor kResourceExhausted say nothing.
  void Note(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  const Clock* const clock_;
  Mutex mu_;
  bool full_ ABSL_GUARDED_BY(mu_) = false;
  MonotonicTime next_ ABSL_GUARDED_BY(mu_);
};

}  // namespace distill::worker
