// One child process in a process group of its own, so that a Ctrl-C in the terminal reaches only us
// and we end the child in order. The kernel ends the child should the thread that started it die.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace distill::client {

// One thread only: the thread that starts it must outlive it.
class ChildProcess {
 public:
  // Runs `command[0]`, a path, with its output appended to `log_path`.
  // Errors: kNotFound when there is no such program; kInternal.
  static absl::StatusOr<ChildProcess> Start(const std::vector<std::string>& command,
                                            const std::string& log_path);

  pid_t pid() const { return pid_; }

  // Tells how it ended ("exited with code 3", "was killed by signal 9"); nothing while it runs.
  std::optional<std::string> PollEnd();

  // Asks it to stop (SIGTERM).
  void Terminate() const;
  // Kills its whole group (SIGKILL).
  void Kill() const;

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}

  pid_t pid_;
  std::optional<std::string> end_;
};

}  // namespace distill::client
