// See simulated_clock.h.
#include "tests/support/simulated_clock.h"

#include "base/check.h"

namespace distill {

SimulatedClock::SimulatedClock()
    : now_{absl::Seconds(1)}, wall_now_(absl::FromUnixSeconds(1767225600)) {}

MonotonicTime SimulatedClock::Now() const {
  const MutexLock lock(mu_);
  return now_;
}

absl::Time SimulatedClock::WallNow() const {
  const MutexLock lock(mu_);
  return wall_now_;
}

void SimulatedClock::Advance(absl::Duration by) {
  DISTILL_CHECK(by >= absl::ZeroDuration(), "monotonic time does not go back");
  const MutexLock lock(mu_);
  now_ = now_ + by;
  wall_now_ += by;
}

void SimulatedClock::JumpWallClock(absl::Duration by) {
  const MutexLock lock(mu_);
  wall_now_ += by;
}

}  // namespace distill
