#include "worker/agent/transient_error.h"

#include <algorithm>

#include "base/error_details.h"

namespace distill::worker {
namespace {

constexpr absl::Duration kLongestBelieved = absl::Minutes(1);

}  // namespace

bool IsTransient(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
      return true;
    default:
      return false;
  }
}

absl::Duration RetryDelay(const absl::Status& status, absl::Duration backoff) {
  const absl::Duration asked = DetailsOf(status).retry_delay.value_or(absl::ZeroDuration());
  return std::max(backoff, std::min(asked, kLongestBelieved));
}

}  // namespace distill::worker
