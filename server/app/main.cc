// distill-server. Exit codes: 0 stopped by SIGTERM or SIGINT; 1 failed; 2 wrong usage or settings;
// 3 another server has the data directory, or a database of another version; 4 an address is in
// use, or the database cannot be reached; 5 the state store failed while serving; 6 another server
// leads now.
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random_ids.h"
#include "base/service_manager.h"
#include "base/status_macros.h"
#include "base/tls_files.h"
#include "server/app/bootstrap.h"
#include "server/app/config.h"
#include "server/app/server_app.h"
#include "server/app/standby.h"
#include "storage/state/postgres_leadership.h"

namespace distill::server {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitTaken = 3;
constexpr int kExitAddressInUse = 4;
constexpr int kExitStoreFailed = 5;
constexpr int kExitLeadershipLost = 6;

// How often a server that stands by looks at the leader; takeover is judged by the database.
constexpr timespec kLookInterval = {0, 250'000'000};
constexpr absl::Duration kLongestWait = absl::Hours(1);

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

// Each connection takes a file; the usual soft limit of 1024 is fewer than a fleet has.
void RaiseFileLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) LogWarning("cannot raise the limit of open files");
}

// What a dump of the memory would hold is nobody's business: keys, lease ids, presigned addresses.
void ForbidCoreDumps() {
  const rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

// Whether trying again is of no use; all else may be the database's bad moment.
bool IsHopeless(const absl::Status& status) {
  return absl::IsFailedPrecondition(status) || absl::IsPermissionDenied(status) ||
         absl::IsInvalidArgument(status) || absl::IsUnimplemented(status);
}

// Stands by until this server leads. Returns null when a signal ended the wait. From then on,
// losing the leadership ends the process on the spot: nothing that it still does would count.
absl::StatusOr<std::unique_ptr<storage::Leadership>> Lead(ServerConfig& config, IdSource& ids,
                                                          const Clock& clock,
                                                          const sigset_t& signals,
                                                          const ServiceManager& manager) {
  DISTILL_ASSIGN_OR_RETURN(const std::unique_ptr<Standby> standby, Standby::Start(config));
  config.listen = standby->grpc_address();
  config.http = standby->http_address();
  storage::PostgresLeadershipConfig leading;
  leading.conninfo = config.postgres;
  leading.holder = ids.RandomHex(16);
  leading.address = config.advertise.empty() ? config.listen : config.advertise;
  DISTILL_ASSIGN_OR_RETURN(std::unique_ptr<storage::Leadership> leadership,
                           storage::OpenPostgresLeadership(leading, clock));
  if (!config.addresses_file.empty()) {
    DISTILL_RETURN_IF_ERROR(WriteAddressesFile(config.addresses_file, config.listen, config.http));
  }
  LogInfo("server stands by", {{"grpc", config.listen}, {"http", config.http}});
  manager.Ready("stands by");
  bool reachable = true;
  for (;;) {
    const absl::StatusOr<bool> leads = leadership->TryToLead();
    if (leads.ok() && *leads) break;
    if (!leads.ok() && IsHopeless(leads.status())) return leads.status();
    if (!leads.ok() && reachable) {
      LogWarning("cannot see who leads; trying again", {{"cause", leads.status()}});
    }
    reachable = leads.ok();
    manager.Alive();
    standby->SetLeader(leadership->leader_address());
    if (sigtimedwait(&signals, nullptr, &kLookInterval) > 0) return nullptr;
  }
  leadership->Hold([](const absl::Status& cause) {
    LogError("this server no longer leads, and ends", {{"cause", cause}});
    _exit(kExitLeadershipLost);
  });
  return leadership;
}

// Waits for a signal that ends the server. Meanwhile the service manager is told, as often as it
// wants, that the server still does its work.
int AwaitSignal(ServerApp& app, const sigset_t& signals, const ServiceManager& manager) {
  const absl::Duration interval = std::min(manager.alive_interval(), kLongestWait);
  const timespec wait = absl::ToTimespec(interval);
  for (;;) {
    const int number = sigtimedwait(&signals, nullptr, &wait);
    if (number > 0) return number;
    if (app.Answers(interval)) manager.Alive();
  }
}

int Serve(ServerConfig config) {
  const ServiceManager manager = ServiceManager::FromEnvironment();
  RaiseFileLimit();
  ForbidCoreDumps();
  const sigset_t signals = BlockEndingSignals();
  SystemClock clock;
  SystemIdSource ids;
  std::unique_ptr<storage::Leadership> leadership;
  if (config.state == "postgres") {
    absl::StatusOr<std::unique_ptr<storage::Leadership>> led =
        Lead(config, ids, clock, signals, manager);
    if (!led.ok()) return Fail(led.status());
    if (*led == nullptr) return 0;
    leadership = *std::move(led);
  }
  std::atomic<bool> store_failed{false};
  ServerApp::Dependencies dependencies;
  dependencies.clock = &clock;
  dependencies.ids = &ids;
  dependencies.leadership = leadership.get();
  dependencies.on_fatal = [&store_failed](const absl::Status&) {
    store_failed = true;
    kill(getpid(), SIGTERM);
  };
  absl::StatusOr<std::unique_ptr<ServerApp>> app = ServerApp::Start(config, dependencies);
  if (!app.ok()) return Fail(app.status());
  manager.Ready(absl::StrCat("serves at ", (*app)->grpc_address()));
  const int signal_number = AwaitSignal(**app, signals, manager);
  LogInfo("stopping", {{"signal", signal_number}});
  manager.Stopping();
  (*app)->Stop();
  if (leadership != nullptr) leadership->Resign();
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
  if (line.action == CommandLine::Action::kCheckConfig) {
    const TlsFiles files = {line.config.tls_certificate, line.config.tls_key,
                            line.config.tls_client_ca};
    const absl::Status usable = CheckTlsFiles(files, SystemClock().WallNow());
    return usable.ok() ? 0 : Fail(usable);
  }
  if (line.action == CommandLine::Action::kIssueAdminToken) {
    const SystemClock clock;
    SystemIdSource ids;
    const absl::Status issued = IssueAdminToken(line.config, line.token_file, clock, ids);
    if (!issued.ok()) return Fail(issued);
    std::cout << line.token_file << std::endl;
    return 0;
  }
  ConfigureLog(SeverityOf(line.config.log_level),
               line.config.log_format == "json" ? LogFormat::kJson : LogFormat::kText);
  return Serve(line.config);
}

}  // namespace
}  // namespace distill::server

int main(int argc, char** argv) { return distill::server::Main(argc, argv); }
