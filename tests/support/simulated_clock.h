// A clock that moves only when a test says so.
#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"

namespace distill {

// Thread-safe. Starts at 1 s of monotonic time, since 0 is too often a default, and at 2026-01-01
// 00:00 UTC of wall time.
class SimulatedClock : public Clock {
 public:
  SimulatedClock();

  MonotonicTime Now() const override ABSL_LOCKS_EXCLUDED(mu_);
  absl::Time WallNow() const override ABSL_LOCKS_EXCLUDED(mu_);

  // Moves both clocks forward. Requires by >= 0.
  void Advance(absl::Duration by) ABSL_LOCKS_EXCLUDED(mu_);
  // Moves the wall clock alone, in either direction, as an administrator or NTP may.
  void JumpWallClock(absl::Duration by) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  mutable Mutex mu_;
  MonotonicTime now_ ABSL_GUARDED_BY(mu_);
  absl::Time wall_now_ ABSL_GUARDED_BY(mu_);
};

}  // namespace distill
