#include "client/cli/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/file.h"

namespace distill::client {
namespace {

constexpr int kCannotExecute = 127;

// Runs in the child between fork and exec, where only async-signal-safe calls are allowed: other
// threads, gRPC's among them, may have held any lock.
[[noreturn]] void Execute(char* const* arguments, int log, pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  // The parent may have died before the line above.
  if (getppid() != parent) _exit(kCannotExecute);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  const int null = open("/dev/null", O_RDONLY);
  dup2(null, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  execv(arguments[0], arguments);
  _exit(kCannotExecute);
}

}  // namespace

absl::StatusOr<ChildProcess> ChildProcess::Start(const std::vector<std::string>& command,
                                                 const std::string& log_path) {
  if (access(command[0].c_str(), X_OK) != 0) {
    const absl::Status status = ErrnoStatus(errno, "run", command[0]);
    return absl::Status(status.code(), absl::StrCat(status.message(),
                                                    "; `./dev build` makes it, and --program-dir "
                                                    "names another folder"));
  }
  const int log = open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log < 0) return ErrnoStatus(errno, "open", log_path);
  std::vector<char*> arguments;
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) Execute(arguments.data(), log, parent);
  const int error = errno;
  close(log);
  if (pid < 0) return ErrnoStatus(error, "start", command[0]);
  setpgid(pid, pid);  // Also here, so that the group exists when we return.
  return ChildProcess(pid);
}

std::optional<std::string> ChildProcess::PollEnd() {
  if (end_.has_value()) return end_;
  int status = 0;
  const pid_t ended = waitpid(pid_, &status, WNOHANG);
  if (ended == 0 || (ended < 0 && errno == EINTR)) return std::nullopt;
  if (ended < 0) {
    end_ = "is gone";
  } else if (WIFSIGNALED(status)) {
    end_ = absl::StrCat("was killed by signal ", WTERMSIG(status));
  } else {
    end_ = absl::StrCat("exited with code ", WEXITSTATUS(status));
  }
  return end_;
}

void ChildProcess::Terminate() const {
  if (!end_.has_value()) kill(pid_, SIGTERM);
}

void ChildProcess::Kill() const {
  if (!end_.has_value()) kill(-pid_, SIGKILL);
}

}  // namespace distill::client
