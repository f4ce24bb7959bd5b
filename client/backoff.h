// How long to wait before the next try: doubling, bounded, and jittered so that a crowd of clients
// does not return in step after a server's restart.
#pragma once

#include "absl/time/time.h"
#include "base/counter_random.h"

namespace distill::client {

// Not thread-safe.
class Backoff {
 public:
  // `seed` tells clients apart. Requires 0 < first <= most.
  Backoff(absl::Duration first, absl::Duration most, uint64_t seed)
      : first_(first), most_(most), next_(first), random_(seed) {}

  // Returns a delay between half and all of the current bound, and doubles the bound.
  absl::Duration Next();
  // Starts over, after something worked.
  void Reset() { next_ = first_; }

 private:
  const absl::Duration first_;
  const absl::Duration most_;
  absl::Duration next_;
  CounterRandom random_;
};

}  // namespace distill::client
