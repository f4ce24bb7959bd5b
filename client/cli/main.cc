// The process `distill`: signals, terminals and the system's clock; all else is in command_line.h.
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/random_ids.h"
#include "client/cli/command_line.h"
#include "client/interrupt.h"

namespace distill::client {
namespace {

// The third Ctrl-C ends the process whatever it does.
constexpr int kMostPatience = 3;

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGHUP);
  return signals;
}

// Takes stop signals, and SIGUSR2 as the end of its work.
void TakeSignals(Interrupt* interrupt) {
  sigset_t signals = StopSignals();
  sigaddset(&signals, SIGUSR2);
  while (true) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0 || signal == SIGUSR2) return;
    interrupt->Request();
    if (interrupt->requests() >= kMostPatience) _exit(static_cast<int>(ExitCode::kInterrupted));
  }
}

TerminalSize AskTerminalSize() {
  winsize size{};
  for (const int descriptor : {STDERR_FILENO, STDOUT_FILENO}) {
    if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
      return TerminalSize{size.ws_col, size.ws_row};
    }
  }
  return TerminalSize{};
}

std::optional<std::string> Variable(const std::string& name) {
  const char* const value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

int Run(int argc, char** argv) {
  // A reader that went away (`| head`) ends writes with an error, not the process and its children.
  signal(SIGPIPE, SIG_IGN);
  sigset_t signals = StopSignals();
  sigaddset(&signals, SIGUSR2);
  // Before any thread starts, so that all of them inherit it and only ours takes signals.
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  Interrupt interrupt;
  std::thread signal_thread(TakeSignals, &interrupt);

  const SystemClock clock;
  SystemIdSource ids;
  Environment environment;
  environment.data = {&std::cout, isatty(STDOUT_FILENO) == 1};
  environment.notes = {&std::cerr, isatty(STDERR_FILENO) == 1};
  environment.terminal_size = AskTerminalSize;
  environment.variable = Variable;
  environment.interrupt = &interrupt;
  environment.clock = &clock;
  environment.ids = &ids;
  std::error_code error;
  environment.program_directory =
      std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
  const ExitCode code = RunCommandLine({argv + 1, argv + argc}, environment);

  pthread_kill(signal_thread.native_handle(), SIGUSR2);
  signal_thread.join();
  return static_cast<int>(code);
}

}  // namespace
}  // namespace distill::client

int main(int argc, char** argv) { return distill::client::Run(argc, argv); }
