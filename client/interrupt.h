// The wish to stop, which may come at any moment from another thread: what Ctrl-C means to code
// that waits for a network, a process or a delay.
#pragma once

#include <functional>
#include <list>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/mutex.h"

namespace distill::client {

// Thread-safe. Not to be called from a signal handler: a thread that takes signals by sigwait is.
class Interrupt {
 public:
  // Runs `on_request` at the first request made while the scope lives, or at once if there was one
  // before. `on_request` must neither block nor use the Interrupt.
  class Scope {
   public:
    Scope(Interrupt& interrupt, std::function<void()> on_request);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Interrupt& interrupt_;
    std::list<std::function<void()>>::iterator entry_;
  };

  // Asks to stop; asking again says that it is urgent.
  void Request() ABSL_LOCKS_EXCLUDED(mu_);

  // How often it was asked; 0 is never.
  int requests() const ABSL_LOCKS_EXCLUDED(mu_);
  bool requested() const { return requests() > 0; }

  // Waits until `timeout` passed or more than `seen` requests were made; tells whether the latter.
  bool WaitFor(absl::Duration timeout, int seen = 0) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  mutable Mutex mu_;
  CondVar changed_;
  int requests_ ABSL_GUARDED_BY(mu_) = 0;
  std::list<std::function<void()>> callbacks_ ABSL_GUARDED_BY(mu_);
};

}  // namespace distill::client
