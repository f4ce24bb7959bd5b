// Ends streams whose other side neither sends nor takes anything: each holds a place, memory and
// perhaps an open file.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <set>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"

namespace distill::server {

// Thread-safe.
class StallGuard {
 private:
  struct Entry {
    explicit Entry(std::function<void()> callback) : on_stall(std::move(callback)) {}

    static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
    const std::function<void()> on_stall;
    std::atomic<int64_t> deadline_micros{kNever};  // On the monotonic clock.
    Mutex mu;                                      // Held while `on_stall` runs.
    bool ended ABSL_GUARDED_BY(mu) = false;
  };

 public:
  // `clock` is borrowed. Starts a thread.
  StallGuard(const Clock& clock, absl::Duration limit);
  // Every stream must have ended.
  ~StallGuard();

  // One stream. It waits for the other side between Wait() and Go(), which one thread at a time
  // may call. Lives no longer than the guard.
  class Stream {
   public:
    // `on_stall` is called at most once per Wait(), on the guard's thread, and never after the end
    // of this object, which it may itself bring about. It must not block.
    Stream(StallGuard& guard, std::function<void()> on_stall);
    ~Stream() ABSL_NO_THREAD_SAFETY_ANALYSIS;
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    void Wait();
    void Go() { entry_->deadline_micros = Entry::kNever; }

   private:
    StallGuard* const guard_;
    // Shared with the guard's thread while it looks at all of them.
    const std::shared_ptr<Entry> entry_;
  };

 private:
  int64_t NowMicros() const { return absl::ToInt64Microseconds(clock_->Now().since_start); }
  void Loop() ABSL_LOCKS_EXCLUDED(mu_);

  const Clock* const clock_;
  const absl::Duration limit_;
  Mutex mu_;
  CondVar stop_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::set<std::shared_ptr<Entry>> streams_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace distill::server
