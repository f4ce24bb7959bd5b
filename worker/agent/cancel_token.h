// A flag that one thread raises and others wait on: how fetches, back-offs and uploads end early.
#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/mutex.h"

namespace distill::worker {

// Thread-safe. Once raised it stays so.
class CancelToken {
 public:
  void Cancel() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    cancelled_ = true;
    changed_.NotifyAll();
  }

  bool cancelled() const ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    return cancelled_;
  }

  // Waits for `duration`, or less when cancelled. Returns whether it was cancelled.
  bool WaitFor(absl::Duration duration) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    // A spurious wake-up only shortens a wait, which no caller minds.
    if (!cancelled_) changed_.WaitFor(mu_, duration);
    return cancelled_;
  }

 private:
  mutable Mutex mu_;
  CondVar changed_;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace distill::worker
