#include "tests/support/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/check.h"
#include "base/file.h"

namespace distill {
namespace {

constexpr int kPauseMilliseconds = 5;

// The fields of /proc/<pid>/stat after the name; empty when there is no such process.
std::vector<std::string> StatFields(const std::string& pid) {
  const absl::StatusOr<std::string> text = ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  if (!text.ok()) return {};
  const size_t name_end = text->rfind(')');
  if (name_end == std::string::npos) return {};
  return absl::StrSplit(text->substr(name_end + 2), ' ');
}

int ExitStatusOf(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

Process::Process(const std::vector<std::string>& command, const std::string& log_path) {
  const int log = open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  DISTILL_CHECK(log >= 0, "a test needs a writable log");
  std::vector<char*> arguments;
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  pid_ = fork();
  DISTILL_CHECK(pid_ >= 0, "a test needs a process");
  if (pid_ > 0) {
    close(log);
    return;
  }
  // A test that is killed leaves nobody behind.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  syscall(SYS_close_range, 3, UINT_MAX, 0);
  execv(arguments[0], arguments.data());
  _exit(127);
}

Process::~Process() { Kill(); }

void Process::Signal(int signal) const {
  if (!status_.has_value()) kill(pid_, signal);
}

void Process::Kill() {
  Signal(SIGKILL);
  Wait(absl::InfiniteDuration());
}

std::optional<int> Process::Wait(absl::Duration timeout) {
  if (status_.has_value()) return status_;
  int status = 0;
  if (timeout == absl::InfiniteDuration()) {
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    status_ = ExitStatusOf(status);
    return status_;
  }
  const auto ended = [&] { return waitpid(pid_, &status, WNOHANG) == pid_; };
  if (Eventually(ended, timeout)) status_ = ExitStatusOf(status);
  return status_;
}

bool IsAlive(pid_t pid) {
  const std::vector<std::string> fields = StatFields(absl::StrCat(pid));
  return !fields.empty() && fields[0] != "Z" && fields[0] != "X";
}

std::vector<pid_t> ChildrenOf(pid_t pid) {
  std::vector<pid_t> children;
  const absl::StatusOr<std::vector<std::string>> names = ListDirectory("/proc");
  if (!names.ok()) return children;
  for (const std::string& name : *names) {
    pid_t candidate = 0;
    if (!absl::SimpleAtoi(name, &candidate)) continue;
    const std::vector<std::string> fields = StatFields(name);
    if (fields.size() > 1 && fields[1] == absl::StrCat(pid) && fields[0] != "Z") {
      children.push_back(candidate);
    }
  }
  return children;
}

void PauseBriefly() { poll(nullptr, 0, kPauseMilliseconds); }

}  // namespace distill
