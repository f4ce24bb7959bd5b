#include "worker/agent/trainer_sandbox.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"

namespace distill::worker {
namespace {

void Lower(decltype(RLIMIT_CORE) resource, rlim_t most) {
  rlimit limit = {};
  if (getrlimit(resource, &limit) != 0) return;
  limit.rlim_cur = std::min(limit.rlim_cur, most);
  limit.rlim_max = std::min(limit.rlim_max, most);
  setrlimit(resource, &limit);
}

bool WriteTo(const char* path, const char* text, size_t size) {
  const int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool written = write(file, text, size) == static_cast<ssize_t>(size);
  close(file);
  return written;
}

}  // namespace

TrainerSandbox::TrainerSandbox(Limits limits)
    : limits_(limits),
      user_map_(absl::StrCat(getuid(), " ", getuid(), " 1\n")),
      group_map_(absl::StrCat(getgid(), " ", getgid(), " 1\n")) {}

bool TrainerSandbox::LeaveNetwork() const {
  if (unshare(CLONE_NEWNET) == 0) return true;
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return false;
  // Without the maps the trainer is nobody to itself, which works too.
  WriteTo("/proc/self/setgroups", "deny", 4);
  WriteTo("/proc/self/uid_map", user_map_.data(), user_map_.size());
  WriteTo("/proc/self/gid_map", group_map_.data(), group_map_.size());
  return true;
}

bool TrainerSandbox::Enter() const {
  const bool isolated = !limits_.keeps_network && LeaveNetwork();
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  Lower(RLIMIT_CORE, 0);
  Lower(RLIMIT_NOFILE, limits_.open_files);
  Lower(RLIMIT_FSIZE, limits_.file_bytes);
  return isolated;
}

bool CanLeaveNetwork() {
  const TrainerSandbox sandbox;
  const pid_t child = fork();
  if (child == 0) _exit(sandbox.Enter() ? 0 : 1);
  int status = 0;
  pid_t reaped = -1;
  do {
    reaped = child < 0 ? -1 : waitpid(child, &status, 0);
  } while (reaped < 0 && child > 0 && errno == EINTR);
  return reaped > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace distill::worker
