#include "client/backoff.h"

#include <algorithm>

namespace distill::client {

absl::Duration Backoff::Next() {
  const absl::Duration delay = next_ * random_.Uniform(0.5, 1.0);
  next_ = std::min(next_ * 2, most_);
  return delay;
}

}  // namespace distill::client
