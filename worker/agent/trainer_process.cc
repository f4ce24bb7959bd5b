#include "worker/agent/trainer_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/check.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "worker/agent/trainer_sandbox.h"
#include "worker/pipe/trainer_contract.h"

namespace distill::worker {
namespace {

constexpr int kExecFailed = 127;
constexpr size_t kReadBytes = 64 << 10;
// What a trainer may inherit. No credentials, no proxies.
constexpr std::array<const char*, 10> kInheritedVariables = {
    "PATH",         "HOME",          "TMPDIR",      "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH",
    "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"};

struct Pipe {
  int read_end = -1;
  int write_end = -1;
};

absl::StatusOr<Pipe> OpenPipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "open", "pipe to trainer");
  return Pipe{ends[0], ends[1]};
}

void Close(const Pipe& pipe) {
  if (pipe.read_end >= 0) close(pipe.read_end);
  if (pipe.write_end >= 0) close(pipe.write_end);
}

// Times that the kernel has killed a process of this machine for want of memory; 0 when unknown.
int64_t KernelOutOfMemoryKills() {
  const absl::StatusOr<std::string> text = ReadFile("/proc/vmstat");
  if (!text.ok()) return 0;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    int64_t count = 0;
    if (absl::ConsumePrefix(&line, "oom_kill ") && absl::SimpleAtoi(line, &count)) return count;
  }
  return 0;
}

std::vector<std::string> FullEnvironment(const std::vector<std::string>& own) {
  std::vector<std::string> all = own;
  for (const char* name : kInheritedVariables) {
    const char* value = getenv(name);
    if (value != nullptr) all.push_back(absl::StrCat(name, "=", value));
  }
  return all;
}

// What the child needs, made ready before the fork: afterwards only system calls are safe.
struct Launch {
  const TrainerSandbox* sandbox;
  const char* binary;
  const char* directory;
  char* const* arguments;
  char* const* environment;
  int command;
  int event;
  int log;
  int null;
  pid_t parent;
};

// Puts `descriptor` at `target`, which is above all others that are still needed.
bool MoveTo(int descriptor, int target) { return dup2(descriptor, target) == target; }

[[noreturn]] void RunChild(const Launch& launch) {
  setsid();
  launch.sandbox->Enter();
  // After the sandbox: a change of credentials forgets it.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The daemon may have died before the line above.
  if (getppid() != launch.parent) _exit(kExecFailed);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_IGN);
  // Via high numbers, since the pipes may themselves be 3 or 4.
  const int command = fcntl(launch.command, F_DUPFD, 100);
  const int event = fcntl(launch.event, F_DUPFD, 100);
  const bool ready = MoveTo(launch.null, 0) && MoveTo(launch.log, 1) && MoveTo(launch.log, 2) &&
                     MoveTo(command, kTrainerCommandDescriptor) &&
                     MoveTo(event, kTrainerEventDescriptor) && chdir(launch.directory) == 0;
  if (!ready) _exit(kExecFailed);
  syscall(SYS_close_range, kTrainerEventDescriptor + 1, UINT_MAX, 0);
  execve(launch.binary, launch.arguments, launch.environment);
  _exit(kExecFailed);
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::string DescribeStatus(int status) {
  if (WIFEXITED(status)) return absl::StrCat("exit status ", WEXITSTATUS(status));
  if (WIFSIGNALED(status)) {
    return absl::StrCat("killed by signal ", WTERMSIG(status), " (", strsignal(WTERMSIG(status)),
                        ")");
  }
  return absl::StrCat("wait status ", status);
}

}  // namespace

absl::StatusOr<std::unique_ptr<TrainerProcess>> TrainerProcess::Start(const Config& config) {
  if (access(config.binary.c_str(), X_OK) != 0) {
    return ErrnoStatus(errno, "run trainer", config.binary);
  }
  Pipe command, event, log;
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const auto open_all = [&]() -> absl::Status {
    if (null < 0) return ErrnoStatus(errno, "open", "/dev/null");
    DISTILL_ASSIGN_OR_RETURN(command, OpenPipe());
    DISTILL_ASSIGN_OR_RETURN(event, OpenPipe());
    DISTILL_ASSIGN_OR_RETURN(log, OpenPipe());
    return absl::OkStatus();
  };
  const absl::Status opened = open_all();
  std::vector<std::string> arguments = {config.binary};
  arguments.insert(arguments.end(), config.arguments.begin(), config.arguments.end());
  std::vector<std::string> environment = FullEnvironment(config.environment);
  const std::vector<char*> argument_pointers = Pointers(arguments);
  const std::vector<char*> environment_pointers = Pointers(environment);
  TrainerSandbox::Limits limits;
  limits.keeps_network = config.keeps_network;
  const TrainerSandbox sandbox(limits);
  const Launch launch = {&sandbox,
                         config.binary.c_str(),
                         config.working_directory.c_str(),
                         argument_pointers.data(),
                         environment_pointers.data(),
                         command.read_end,
                         event.write_end,
                         log.write_end,
                         null,
                         getpid()};
  const pid_t pid = opened.ok() ? fork() : -1;
  const int fork_error = errno;
  if (pid == 0) RunChild(launch);
  if (null >= 0) close(null);
  if (pid < 0) {
    for (const Pipe& pipe : {command, event, log}) Close(pipe);
    return opened.ok() ? ErrnoStatus(fork_error, "start trainer", config.binary) : opened;
  }
  close(command.read_end);
  close(event.write_end);
  close(log.write_end);
  return std::unique_ptr<TrainerProcess>(
      new TrainerProcess(pid, command.write_end, event.read_end, log.read_end, config));
}

TrainerProcess::TrainerProcess(pid_t pid, int command, int event, int log, const Config& config)
    : pid_(pid),
      command_descriptor_(command),
      event_descriptor_(event),
      log_descriptor_(log),
      kernel_kills_at_start_(KernelOutOfMemoryKills()),
      writer_(command),
      log_config_(config.log),
      log_(std::make_shared<AttemptLog>(config.log)) {
  fcntl(event_descriptor_, F_SETFL, O_NONBLOCK);
  fcntl(log_descriptor_, F_SETFL, O_NONBLOCK);
}

TrainerProcess::~TrainerProcess() {
  End(absl::ZeroDuration());
  close(command_descriptor_);
  close(event_descriptor_);
  close(log_descriptor_);
}

absl::Status TrainerProcess::Send(const v1::TrainerCommand& command, absl::Duration timeout) {
  return writer_.Write(command, timeout);
}

absl::StatusOr<std::vector<v1::TrainerEvent>> TrainerProcess::Wait(int wake_descriptor,
                                                                   absl::Duration timeout) {
  std::array<pollfd, 3> entries = {{{event_descriptor_, POLLIN, 0},
                                    {wake_descriptor, POLLIN, 0},
                                    {log_open_ ? log_descriptor_ : -1, POLLIN, 0}}};
  const int64_t wait = absl::ToInt64Milliseconds(absl::Ceil(timeout, absl::Milliseconds(1)));
  poll(entries.data(), entries.size(),
       timeout == absl::InfiniteDuration()
           ? -1
           : static_cast<int>(std::clamp<int64_t>(wait, 0, INT_MAX)));
  DrainLog();
  return ReadEvents();
}

void TrainerProcess::DrainLog() {
  char bytes[kReadBytes];
  while (log_open_) {
    const ssize_t count = read(log_descriptor_, bytes, sizeof(bytes));
    if (count > 0) {
      log_->Append(absl::string_view(bytes, static_cast<size_t>(count)));
    } else if (count == 0) {
      log_open_ = false;
    } else if (errno != EINTR) {
      return;
    }
  }
}

absl::StatusOr<std::vector<v1::TrainerEvent>> TrainerProcess::ReadEvents() {
  std::vector<v1::TrainerEvent> events;
  char bytes[kReadBytes];
  bool closed = false;
  for (;;) {
    const ssize_t count = read(event_descriptor_, bytes, sizeof(bytes));
    if (count > 0) {
      decoder_.Append(absl::string_view(bytes, static_cast<size_t>(count)));
    } else if (count == 0) {
      closed = true;
      break;
    } else if (errno != EINTR) {
      break;
    }
  }
  for (;;) {
    DISTILL_ASSIGN_OR_RETURN(const std::optional<std::string> payload, decoder_.Next());
    if (!payload.has_value()) break;
    if (!events.emplace_back().ParseFromString(*payload)) {
      return absl::DataLossError("trainer sent a message that does not parse");
    }
  }
  // What was said before the end counts; the next call tells of the end.
  if (closed && events.empty()) return absl::UnavailableError("trainer closed its pipe");
  return events;
}

void TrainerProcess::WaitForExit(absl::Duration grace) {
  const int descriptor = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  if (descriptor < 0) return;
  pollfd entry = {descriptor, POLLIN, 0};
  poll(&entry, 1, static_cast<int>(absl::ToInt64Milliseconds(grace)));
  close(descriptor);
}

TrainerExit TrainerProcess::End(absl::Duration grace) {
  if (ended_) return exit_;
  if (grace > absl::ZeroDuration()) WaitForExit(grace);
  // The group exists as long as its leader is not reaped. The second call is for a child so young
  // that it has not made its group yet.
  kill(-pid_, SIGKILL);
  kill(pid_, SIGKILL);
  int status = 0;
  rusage usage = {};
  pid_t reaped = -1;
  do {
    reaped = wait4(pid_, &status, 0, &usage);
  } while (reaped < 0 && errno == EINTR);
  DISTILL_CHECK(reaped == pid_, "only this class reaps the trainer");
  DrainLog();
  ended_ = true;
  exit_.description = DescribeStatus(status);
  exit_.clean = WIFEXITED(status) && WEXITSTATUS(status) == kTrainerExitOk;
  const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  exit_.out_of_memory = (killed && KernelOutOfMemoryKills() > kernel_kills_at_start_) ||
                        (WIFEXITED(status) && WEXITSTATUS(status) == kTrainerExitOutOfMemory);
  exit_.peak_memory_bytes = static_cast<int64_t>(usage.ru_maxrss) * 1024;
  exit_.cpu_seconds = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                      1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  return exit_;
}

}  // namespace distill::worker
