// How long to wait before the next try: doubling from a first wait to a longest one, each drawn
// evenly from its upper half so that a fleet that lost its server does not return in step.
#pragma once

#include <cstdint>

#include "absl/time/time.h"
#include "base/counter_random.h"

namespace distill::worker {

// Not thread-safe.
class Backoff {
 public:
  struct Config {
    absl::Duration first = absl::Milliseconds(100);
    absl::Duration longest = absl::Seconds(5);
  };

  Backoff(Config config, uint64_t seed) : config_(config), random_(seed), next_(config.first) {}

  // Returns the next wait.
  absl::Duration Next();
  // Starts over after a success.
  void Reset() { next_ = config_.first; }

 private:
  const Config config_;
  CounterRandom random_;
  absl::Duration next_;
};

}  // namespace distill::worker
