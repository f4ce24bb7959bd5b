#include "worker/agent/backoff.h"

#include <algorithm>

namespace distill::worker {

absl::Duration Backoff::Next() {
  const absl::Duration whole = next_;
  next_ = std::min(next_ * 2, config_.longest);
  return whole * random_.Uniform(0.5, 1.0);
}

}  // namespace distill::worker
