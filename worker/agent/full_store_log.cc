#include "worker/agent/full_store_log.h"

#include "base/log.h"

namespace distill::worker {
namespace {

constexpr absl::Duration kInterval = absl::Minutes(1);

}  // namespace

void FullStoreLog::Note(const absl::Status& status) {
  if (!status.ok() && !absl::IsResourceExhausted(status)) return;
  const MonotonicTime now = clock_->Now();
  {
    const MutexLock lock(mu_);
    if (status.ok()) {
      if (!full_) return;
      full_ = false;
    } else {
      if (full_ && now < next_) return;
      full_ = true;
      next_ = now + kInterval;
    }
  }
  if (status.ok()) {
    LogInfo("the server takes uploads again");
  } else {
    // The server's message has the figures.
    LogWarning("the server has no room for uploads; work waits and is not lost",
               {{"cause", status}});
  }
}

}  // namespace distill::worker
