// Reads the two clocks of the kernel.
#include "base/clock.h"

#include <ctime>

#include "absl/time/clock.h"

namespace distill {

MonotonicTime SystemClock::Now() const {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return {absl::DurationFromTimespec(now)};
}

absl::Time SystemClock::WallNow() const { return absl::Now(); }

}  // namespace distill
