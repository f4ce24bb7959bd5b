// A child process of a test: started, watched, ended by its own id.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"

namespace distill {

// Not thread-safe.
class Process {
 public:
  // Starts `command` with its output appended to the file `log_path`. Fails the program if it
  // cannot.
  Process(const std::vector<std::string>& command, const std::string& log_path);
  // Kills and reaps.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int signal) const;
  // Sends SIGKILL and reaps.
  void Kill();
  // Waits for the end. Returns the exit status, 128 + signal for a signal, nothing at `timeout`.
  std::optional<int> Wait(absl::Duration timeout);

 private:
  pid_t pid_ = -1;
  std::optional<int> status_;
};

// Whether a process of this id exists and is no zombie.
bool IsAlive(pid_t pid);

// The children of a process, living ones only.
std::vector<pid_t> ChildrenOf(pid_t pid);

// Waits a few milliseconds.
void PauseBriefly();

// Waits until `condition` holds, looking every few milliseconds. Returns whether it did in time.
template <typename Condition>
bool Eventually(Condition condition, absl::Duration timeout) {
  const SystemClock clock;
  const MonotonicTime deadline = clock.Now() + timeout;
  while (!condition()) {
    if (clock.Now() >= deadline) return false;
    PauseBriefly();
  }
  return true;
}

}  // namespace distill
