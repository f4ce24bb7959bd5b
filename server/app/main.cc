// distill-server. Exit codes: 0 stopped by SIGTERM or SIGINT; 1 failed; 2 wrong usage or settings;
// 3 another server has the data directory, or a database of another version; 4 an address is in
// use; 5 the state store failed while serving.
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <iostream>
#include <memory>

#include "base/clock.h"
#include "base/log.h"
#include "base/random_ids.h"
#include "server/app/config.h"
#include "server/app/server_app.h"

namespace distill::server {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitTaken = 3;
constexpr int kExitAddressInUse = 4;
constexpr int kExitStoreFailed = 5;

int ExitCode(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return kExitUsage;
    case absl::StatusCode::kFailedPrecondition:
      return kExitTaken;
    case absl::StatusCode::kUnavailable:
      return kExitAddressInUse;
    default:
      return kExitFailed;
  }
}

int Fail(const absl::Status& status) {
  std::cerr << "distill-server: " << status.message() << std::endl;
  return ExitCode(status);
}

LogSeverity SeverityOf(const std::string& name) {
  if (name == "debug") return LogSeverity::kDebug;
  if (name == "warning") return LogSeverity::kWarning;
  return name == "error" ? LogSeverity::kError : LogSeverity::kInfo;
}

// Blocks the signals that end the server in every thread started after this, so that one thread can
// wait for them.
sigset_t BlockEndingSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return signals;
}

int Serve(const ServerConfig& config) {
  const sigset_t signals = BlockEndingSignals();
  SystemClock clock;
  SystemIdSource ids;
  std::atomic<bool> store_failed{false};
  ServerApp::Dependencies dependencies;
  dependencies.clock = &clock;
  dependencies.ids = &ids;
  dependencies.on_fatal = [&store_failed](const absl::Status&) {
    store_failed = true;
    kill(getpid(), SIGTERM);
  };
  absl::StatusOr<std::unique_ptr<ServerApp>> app = ServerApp::Start(config, dependencies);
  if (!app.ok()) return Fail(app.status());
  int signal_number = 0;
  sigwait(&signals, &signal_number);
  LogInfo("stopping", {{"signal", signal_number}});
  (*app)->Stop();
  return store_failed ? kExitStoreFailed : 0;
}

int Main(int argc, char** argv) {
  const CommandLine line = ParseCommandLine(argc, argv);
  if (line.action == CommandLine::Action::kExit) return line.exit_code;
  const absl::Status valid = ValidateConfig(line.config);
  if (!valid.ok()) return Fail(valid);
  if (line.action == CommandLine::Action::kPrintConfig) {
    std::cout << PrintConfig(line.config);
    return 0;
  }
  if (line.action == CommandLine::Action::kCheckConfig) return 0;
  ConfigureLog(SeverityOf(line.config.log_level),
               line.config.log_format == "json" ? LogFormat::kJson : LogFormat::kText);
  return Serve(line.config);
}

}  // namespace
}  // namespace distill::server

int main(int argc, char** argv) { return distill::server::Main(argc, argv); }
