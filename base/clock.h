// Time as a dependency. Scheduling uses MonotonicTime, which is never persisted; absl::Time is for
// people to read.
#pragma once

#include <memory>

#include "absl/time/time.h"

namespace distill {

// An instant on a clock that never jumps; comparable only within one run of one process.
struct MonotonicTime {
  absl::Duration since_start;

  friend bool operator==(MonotonicTime a, MonotonicTime b) {
    return a.since_start == b.since_start;
  }
  friend bool operator!=(MonotonicTime a, MonotonicTime b) {
    return a.since_start != b.since_start;
  }
  friend bool operator<(MonotonicTime a, MonotonicTime b) { return a.since_start < b.since_start; }
  friend bool operator<=(MonotonicTime a, MonotonicTime b) {
    return a.since_start <= b.since_start;
  }
  friend bool operator>(MonotonicTime a, MonotonicTime b) { return b < a; }
  friend bool operator>=(MonotonicTime a, MonotonicTime b) { return b <= a; }
  friend MonotonicTime operator+(MonotonicTime t, absl::Duration d) { return {t.since_start + d}; }
  friend MonotonicTime operator-(MonotonicTime t, absl::Duration d) { return {t.since_start - d}; }
  friend absl::Duration operator-(MonotonicTime a, MonotonicTime b) {
    return a.since_start - b.since_start;
  }
};

inline MonotonicTime InfiniteFuture() { return {absl::InfiniteDuration()}; }

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonotonicTime Now() const = 0;
  virtual absl::Time WallNow() const = 0;
};

// CLOCK_MONOTONIC and the system's wall clock.
class SystemClock : public Clock {
 public:
  MonotonicTime Now() const override;
  absl::Time WallNow() const override;
};

}  // namespace distill
