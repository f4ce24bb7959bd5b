#include "server/rpc/stall_guard.h"

#include <pthread.h>

#include <utility>
#include <vector>

namespace distill::server {

StallGuard::StallGuard(const Clock& clock, absl::Duration limit)
    : clock_(&clock), limit_(limit), thread_([this] {
        pthread_setname_np(pthread_self(), "stalls");
        Loop();
      }) {}

StallGuard::~StallGuard() {
  {
    MutexLock lock(mu_);
    stopping_ = true;
    stop_.NotifyAll();
  }
  thread_.join();
}

// Looks at all streams a few times per limit: they are some hundreds, and a little more or less
// patience does not matter.
void StallGuard::Loop() {
  for (;;) {
    std::vector<std::shared_ptr<Entry>> streams;
    {
      MutexLock lock(mu_);
      if (!stopping_) stop_.WaitFor(mu_, limit_ / 8);
      if (stopping_) return;
      streams.assign(streams_.begin(), streams_.end());
    }
    const int64_t now = NowMicros();
    for (const std::shared_ptr<Entry>& entry : streams) {
      if (entry->deadline_micros > now) continue;
      MutexLock lock(entry->mu);
      if (entry->ended) continue;
      entry->deadline_micros = Entry::kNever;
      entry->on_stall();
    }
  }
}

StallGuard::Stream::Stream(StallGuard& guard, std::function<void()> on_stall)
    : guard_(&guard), entry_(std::make_shared<Entry>(std::move(on_stall))) {
  MutexLock lock(guard.mu_);
  guard.streams_.insert(entry_);
}

// gRPC may end a stream within the very call of `on_stall` that cancelled it; the lock is then held
// by this thread.
StallGuard::Stream::~Stream() {
  {
    MutexLock lock(guard_->mu_);
    guard_->streams_.erase(entry_);
  }
  if (std::this_thread::get_id() == guard_->thread_.get_id()) {
    entry_->ended = true;
    return;
  }
  MutexLock lock(entry_->mu);
  entry_->ended = true;
}

void StallGuard::Stream::Wait() {
  entry_->deadline_micros = guard_->NowMicros() + absl::ToInt64Microseconds(guard_->limit_);
}

}  // namespace distill::server
