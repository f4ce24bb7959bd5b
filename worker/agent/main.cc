// distill-worker: reads the command line, starts the worker and its metrics page, and waits for a
// signal. The first SIGTERM or SIGINT hands running work back; the second ends at once.
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <climits>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/observability_server.h"
#include "base/prometheus_metrics.h"
#include "base/random_ids.h"
#include "base/service_manager.h"
#include "base/status_macros.h"
#include "worker/agent/gpu_monitor.h"
#include "worker/agent/wake_descriptor.h"
#include "worker/agent/worker.h"

namespace distill::worker {
namespace {

constexpr int kExitUsage = 2;
constexpr int kExitFailed = 1;

struct Flags {
  std::string servers;
  std::string data_directory;
  std::string trainer;
  std::string http = "127.0.0.1:0";
  std::string addresses_file;
  std::string labels;
  std::string worker_id;
  ChannelSecurity security;
  std::string gang_network;
  Worker::Config::Device device = Worker::Config::Device::kAuto;
  int slots = 0;
  int64_t cache_bytes = int64_t{20} << 30;
  int64_t dataset_cache_bytes = int64_t{50} << 30;
  std::string object_store_ca_file;
  double drain_seconds = 25;
  double warm_seconds = 30;
  bool json_log = false;
};

// Puts the path of the trainer beside this program's own.
std::string DefaultTrainer() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "distill-trainer" : (self.parent_path() / "distill-trainer").string();
}

void Declare(CLI::App& app, Flags& flags) {
  app.add_option("--server", flags.servers, "Server, host:port; several separated by commas")
      ->required();
  app.add_option("--data-dir", flags.data_directory,
                 "Folder for cached inputs, running attempts and unsent results; of this worker "
                 "alone")
      ->required();
  using Device = Worker::Config::Device;
  app.add_option("--device", flags.device,
                 "Where trainers compute: cpu, cuda, or auto: on GPUs where there are some and the "
                 "trainer can use them; of those in CUDA_VISIBLE_DEVICES. Default auto")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Device>{
          {"auto", Device::kAuto}, {"cpu", Device::kCpu}, {"cuda", Device::kCuda}}));
  app.add_option("--slots", flags.slots, "Trainers at a time; 0: one for each GPU, or core")
      ->capture_default_str();
  app.add_option("--trainer", flags.trainer, "Trainer program; default: beside this one");
  app.add_option("--http", flags.http, "Where to serve /metrics and /healthz, host:port")
      ->capture_default_str();
  app.add_option("--addresses-file", flags.addresses_file,
                 "File that tells the chosen addresses once the worker is up");
  app.add_option("--labels", flags.labels, "key=value pairs separated by commas");
  app.add_option("--tls-ca", flags.security.files.ca,
                 "Authority that the server's certificate comes from (PEM), or \"system\"")
      ->envname("DISTILL_WORKER_TLS_CA")
      ->type_name("FILE");
  app.add_option("--tls-cert", flags.security.files.certificate,
                 "Certificate of this worker (PEM); it names the worker. Renewed files are noticed")
      ->envname("DISTILL_WORKER_TLS_CERT")
      ->type_name("FILE");
  app.add_option("--tls-key", flags.security.files.key, "Private key of --tls-cert")
      ->envname("DISTILL_WORKER_TLS_KEY")
      ->type_name("FILE");
  app.add_option("--tls-server-name", flags.security.server_name,
                 "Name in the server's certificate, when it is not the host of --server");
  app.add_flag("--insecure-allow-plaintext", flags.security.allow_plaintext,
               "Speak unencrypted to servers beyond this machine; for trusted networks only");
  app.add_option("--worker-id", flags.worker_id,
                 "Name of this worker; default: the one in its certificate, or one made up once. "
                 "With a certificate for NAME it is NAME or NAME.anything");
  app.add_option("--gang-network", flags.gang_network,
                 "Network interface over which trainers that share a task exchange gradients, "
                 "unencrypted: a trusted network only; default: take part in no such task");
  app.add_option("--cache-bytes", flags.cache_bytes, "Most bytes of cached inputs")
      ->capture_default_str();
  app.add_option("--dataset-cache-bytes", flags.dataset_cache_bytes,
                 "Most bytes of data sets fetched from the server")
      ->capture_default_str();
  app.add_option("--object-store-ca-file", flags.object_store_ca_file,
                 "Certificates to trust where blobs go straight to an object store; default: the "
                 "system's");
  app.add_option("--drain-seconds", flags.drain_seconds,
                 "After SIGTERM, how long to hand work back before giving up")
      ->capture_default_str();
  app.add_option("--warm-seconds", flags.warm_seconds,
                 "How long a trainer waits for more work of its job")
      ->capture_default_str();
  app.add_flag("--log-json", flags.json_log, "Write the log, and those of trainers, as JSON lines");
  app.set_config("--config", "", "File of settings, one \"name = value\" a line; flags win");
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.set_version_flag("--version", std::string("distill-worker ") + DISTILL_VERSION);
}

absl::StatusOr<std::map<std::string, std::string>> ParseLabels(const std::string& text) {
  std::map<std::string, std::string> labels;
  for (absl::string_view pair : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    const size_t equals = pair.find('=');
    if (equals == absl::string_view::npos || equals == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot read --labels: want key=value; got=", pair));
    }
    labels[std::string(pair.substr(0, equals))] = std::string(pair.substr(equals + 1));
  }
  return labels;
}

absl::StatusOr<Worker::Config> ConfigFrom(const Flags& flags) {
  Worker::Config config;
  config.servers = absl::StrSplit(flags.servers, ',', absl::SkipEmpty());
  config.data_directory = std::filesystem::absolute(flags.data_directory).string();
  config.trainer_binary =
      std::filesystem::absolute(flags.trainer.empty() ? DefaultTrainer() : flags.trainer).string();
  config.slots = flags.slots;
  config.device = flags.device;
  config.worker_id = flags.worker_id;
  config.security = flags.security;
  config.gang_network = flags.gang_network;
  config.cache_bytes = flags.cache_bytes;
  config.dataset_cache_bytes = flags.dataset_cache_bytes;
  config.json_log = flags.json_log;
  config.object_store_ca_file = flags.object_store_ca_file;
  config.warm_idle = absl::Seconds(flags.warm_seconds);
  DISTILL_ASSIGN_OR_RETURN(config.labels, ParseLabels(flags.labels));
  return config;
}

absl::StatusOr<ObservabilityServer::Config> HttpConfig(const std::string& address) {
  ObservabilityServer::Config config;
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &config.port)) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read --http: want host:port; got=", address));
  }
  config.host = address.substr(0, colon);
  config.threads = 2;
  return config;
}

std::string StatusText(const absl::Status& readiness) {
  return readiness.ok() ? "the server answers" : std::string(readiness.message());
}

// Waits for signals until the worker has handed everything back.
class SignalLoop {
 public:
  SignalLoop(const sigset_t& signals, const Clock& clock)
      : clock_(&clock), descriptor_(signalfd(-1, &signals, SFD_CLOEXEC)) {}
  ~SignalLoop() { close(descriptor_); }

  // Tells that the worker holds no lease.
  void NotifyIdle() { idle_.Wake(); }

  void Run(Worker& worker, absl::Duration drain_limit, const ServiceManager& manager) {
    while (!AwaitSignal(manager.alive_interval())) {
      // Blocks while the threads that talk to the server block each other.
      manager.SetStatus(StatusText(worker.Readiness()));
      manager.Alive();
    }
    manager.Stopping();
    const MonotonicTime deadline = clock_->Now() + drain_limit;
    worker.Drain();
    while (!worker.idle()) {
      const absl::Duration left = deadline - clock_->Now();
      if (left <= absl::ZeroDuration()) {
        LogWarning("gave up handing work back; leases will expire");
        return;
      }
      if (AwaitSignal(left)) {
        LogWarning("second signal: ending at once");
        return;
      }
    }
  }

 private:
  // Returns whether a signal came, rather than news of idleness or the end of `timeout`.
  bool AwaitSignal(absl::Duration timeout) {
    for (;;) {
      pollfd entries[] = {{descriptor_, POLLIN, 0}, {idle_.descriptor(), POLLIN, 0}};
      const bool endless = timeout == absl::InfiniteDuration();
      const int wait = endless ? -1
                               : static_cast<int>(std::min<int64_t>(
                                     absl::ToInt64Milliseconds(timeout) + 1, INT_MAX));
      poll(entries, 2, wait);
      idle_.Clear();
      if ((entries[0].revents & POLLIN) != 0) {
        signalfd_siginfo info;
        [[maybe_unused]] const ssize_t count = read(descriptor_, &info, sizeof(info));
        return true;
      }
      if (!endless) return false;
    }
  }

  const Clock* const clock_;
  const int descriptor_;
  WakeDescriptor idle_;
};

absl::Status Run(const Flags& flags, const sigset_t& signals, const ServiceManager& manager) {
  SystemClock clock;
  SystemIdSource ids;
  PrometheusMetrics metrics;
  SignalLoop loop(signals, clock);
  DISTILL_ASSIGN_OR_RETURN(Worker::Config config, ConfigFrom(flags));
  DISTILL_ASSIGN_OR_RETURN(const ObservabilityServer::Config http, HttpConfig(flags.http));
  DISTILL_ASSIGN_OR_RETURN(
      const std::unique_ptr<Worker> worker,
      Worker::Create(std::move(config), {clock, ids, metrics, [&loop] { loop.NotifyIdle(); }}));
  GpuMonitor gpus(GpuMonitor::Config(), metrics);
  gpus.Start();
  ObservabilityServer web(http, metrics, [&worker] { return worker->Readiness(); });
  DISTILL_RETURN_IF_ERROR(web.Start());
  worker->Start();
  LogInfo("worker started", {{"worker", worker->info().worker_id()},
                             {"slots", worker->info().slots()},
                             {"http", absl::StrCat(http.host, ":", web.port())}});
  if (!flags.addresses_file.empty()) {
    DISTILL_RETURN_IF_ERROR(WriteFileAtomically(
        flags.addresses_file, absl::StrCat("http=", http.host, ":", web.port(), "\n")));
  }
  manager.Ready("runs");
  loop.Run(*worker, absl::Seconds(flags.drain_seconds), manager);
  worker->Stop();
  web.Stop();
  LogInfo("worker ended");
  return absl::OkStatus();
}

}  // namespace
}  // namespace distill::worker

int main(int argc, char** argv) {
  CLI::App app("Runs tasks for a Distillery server.", "distill-worker");
  distill::worker::Flags flags;
  distill::worker::Declare(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : distill::worker::kExitUsage;
  }
  distill::ConfigureLog(distill::LogSeverity::kInfo,
                        flags.json_log ? distill::LogFormat::kJson : distill::LogFormat::kText);
  // Before any thread starts, so that all inherit it.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  const absl::Status status =
      distill::worker::Run(flags, signals, distill::ServiceManager::FromEnvironment());
  if (status.ok()) return 0;
  distill::LogError("worker cannot run", {{"error", status}});
  return status.code() == absl::StatusCode::kInvalidArgument ? distill::worker::kExitUsage
                                                             : distill::worker::kExitFailed;
}
