#include "client/interrupt.h"

#include <utility>

namespace distill::client {

Interrupt::Scope::Scope(Interrupt& interrupt, std::function<void()> on_request)
    : interrupt_(interrupt) {
  MutexLock lock(interrupt_.mu_);
  entry_ = interrupt_.callbacks_.insert(interrupt_.callbacks_.end(), std::move(on_request));
  if (interrupt_.requests_ > 0) (*entry_)();
}

Interrupt::Scope::~Scope() {
  MutexLock lock(interrupt_.mu_);
  interrupt_.callbacks_.erase(entry_);
}

void Interrupt::Request() {
  MutexLock lock(mu_);
  ++requests_;
  // Under the lock, so that no callback runs after its scope has ended.
  if (requests_ == 1) {
    for (const auto& callback : callbacks_) callback();
  }
  changed_.NotifyAll();
}

int Interrupt::requests() const {
  MutexLock lock(mu_);
  return requests_;
}

bool Interrupt::WaitFor(absl::Duration timeout, int seen) {
  MutexLock lock(mu_);
  // A spurious wake-up may end the wait early, which no caller minds: all of them loop.
  if (requests_ <= seen && timeout > absl::ZeroDuration()) changed_.WaitFor(mu_, timeout);
  return requests_ > seen;
}

}  // namespace distill::client
