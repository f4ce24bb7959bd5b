#include "server/app/server_app.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/server_builder_option.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/log.h"
#include "base/observability_server.h"
#include "base/prometheus_metrics.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "server/app/listening.h"
#include "server/app/maintenance.h"
#include "server/app/scrubber.h"
#include "server/app/standby.h"
#include "server/auth/audit_log.h"
#include "server/auth/gate.h"
#include "server/auth/token_registry.h"
#include "server/engine/driver.h"
#include "server/rpc/artifact_service.h"
#include "server/rpc/auth_service.h"
#include "server/rpc/cache_service.h"
#include "server/rpc/call.h"
#include "server/rpc/convert.h"
#include "server/rpc/dataset_service.h"
#include "server/rpc/fleet_service.h"
#include "server/rpc/job_service.h"
#include "server/rpc/live_logs.h"
#include "server/rpc/live_series.h"
#include "server/rpc/task_service.h"
#include "server/rpc/worker_service.h"
#include "server/web/api_gateway.h"
#include "server/web/status_page.h"
#include "storage/blob/blob_store.h"
#include "storage/state/file_lock_leadership.h"

namespace distill::server {
namespace {

// Each page that is looked at has one.
constexpr int kMostEventStreams = 256;
constexpr int kHttpThreads = 4;
constexpr absl::Duration kStopGrace = absl::Seconds(3);
// For the last bytes of the last answers.
constexpr std::chrono::milliseconds kGoodbye(100);

// Takes the reflection service out of one server; gRPC adds it to all of the process.
class NoReflectionOption : public grpc::ServerBuilderOption {
 public:
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    const std::string reflection = grpc::reflection::ProtoServerReflectionPlugin().name();
    plugins->erase(std::remove_if(plugins->begin(), plugins->end(),
                                  [&](const auto& plugin) { return plugin->name() == reflection; }),
                   plugins->end());
  }
};

// One answer that another thread gives.
template <typename Value>
class Slot {
 public:
  void Set(Value value) {
    MutexLock lock(mu_);
    value_ = std::move(value);
    changed_.NotifyAll();
  }
  std::optional<Value> Wait(absl::Duration timeout) {
    MutexLock lock(mu_);
    if (!value_.has_value()) changed_.WaitFor(mu_, timeout);
    return value_;
  }

 private:
  Mutex mu_;
  CondVar changed_;
  std::optional<Value> value_ ABSL_GUARDED_BY(mu_);
};

class ServerAppImpl : public ServerApp {
 public:
  ServerAppImpl(const ServerConfig& config, const Dependencies& dependencies)
      : config_(config), dependencies_(dependencies) {}
  ~ServerAppImpl() override { Stop(); }

  absl::Status Open() {
    DISTILL_RETURN_IF_ERROR(OpenStores());
    DISTILL_RETURN_IF_ERROR(OpenEngine());
    DISTILL_RETURN_IF_ERROR(Listen());
    DISTILL_RETURN_IF_ERROR(ListenHttp());
    SetServing(true);
    ready_ = true;
    return WriteAddresses();
  }

  const std::string& grpc_address() const override { return grpc_address_; }
  const std::string& http_address() const override { return http_address_; }

  bool Answers(absl::Duration limit) override {
    auto slot = std::make_shared<Slot<bool>>();
    driver_->PostQuery([slot](const Core*, MonotonicTime) { slot->Set(true); });
    return slot->Wait(limit).has_value();
  }

  void Stop() override {
    if (stopped_) return;
    stopped_ = true;
    ready_ = false;
    SetServing(false);
    if (maintenance_ != nullptr) maintenance_->Stop();
    // First, so that long polls and watches end instead of holding the shutdown up.
    if (driver_ != nullptr) driver_->Stop();
    if (dataset_reader_ != nullptr) dataset_reader_->Stop();
    if (blobs_ != nullptr) blobs_->StopWaiting();
    if (scrubber_ != nullptr) scrubber_->Stop();
    if (gateway_ != nullptr) gateway_->Stop();
    if (grpc_server_ != nullptr) {
      open_calls_.AwaitNone(*dependencies_.clock, kStopGrace);
      // It calls the other one.
      if (http_server_ != nullptr) http_server_->Stop();
      // Connections without a call would hold it up for no good.
      grpc_server_->Shutdown(std::chrono::system_clock::now() + kGoodbye);
      grpc_server_->Wait();
    }
    if (queries_ != nullptr) queries_->Stop();
    if (transfers_ != nullptr) transfers_->Stop();
  }

 private:
  absl::Status OpenStores() {
    DISTILL_RETURN_IF_ERROR(CreateDirectories(config_.data_dir));
    leadership_ = dependencies_.leadership;
    if (leadership_ == nullptr) {
      own_leadership_ = std::make_unique<storage::FileLockLeadership>(config_.data_dir);
      DISTILL_RETURN_IF_ERROR(own_leadership_->TryToLead().status());
      leadership_ = own_leadership_.get();
    }
    DISTILL_ASSIGN_OR_RETURN(store_, leadership_->OpenStore());
    DISTILL_ASSIGN_OR_RETURN(blobs_,
                             OpenBlobStore(config_.blobs, JoinPath(config_.data_dir, "blobs"),
                                           *dependencies_.clock, metrics_));
    queries_ = std::make_unique<IoExecutor>(
        IoExecutorConfig{"queries", config_.query_threads, /*max_queue=*/4096}, metrics_);
    transfers_ = std::make_unique<IoExecutor>(
        IoExecutorConfig{"transfers", config_.transfer_threads, /*max_queue=*/4096}, metrics_);
    return absl::OkStatus();
  }

  absl::Status OpenEngine() {
    DriverConfig config;
    config.task_kinds = TaskKindNames();
    config.core.lease_duration = absl::Seconds(config_.lease_seconds);
    config.core.max_retry_backoff = absl::Seconds(config_.max_retry_backoff_seconds);
    config.core.preempt_grace = absl::Seconds(config_.preempt_seconds);
    config.core.preempt_patience = absl::Seconds(config_.preempt_patience_seconds);
    config.core.quarantine_after_failures = config_.quarantine_after_failures;
    config.core.poison_after_workers = config_.poison_after_workers;
    config.core.stall_timeout = absl::Minutes(config_.stall_minutes);
    config.core.max_datasets = config_.max_datasets;
    config.core.max_dataset_bytes = config_.max_dataset_bytes;
    DriverDependencies dependencies;
    dependencies.store = store_.get();
    dependencies.clock = dependencies_.clock;
    dependencies.ids = dependencies_.ids;
    dependencies.metrics = &metrics_;
    dependencies.unlink_blobs = [this](std::vector<Digest> digests) { Unlink(std::move(digests)); };
    datasets_ = std::make_unique<DatasetCatalog>(*store_, config_.dataset_roots);
    dependencies.on_fatal = [this](const absl::Status& status) {
      ready_ = false;
      LogError("the state store failed; nothing more is accepted", {{"cause", status}});
      if (dependencies_.on_fatal) dependencies_.on_fatal(status);
    };
    DISTILL_ASSIGN_OR_RETURN(driver_, Driver::Open(config, dependencies));
    reports_ = std::make_unique<ReportPublisher>(*driver_, *store_, *blobs_, *queries_);
    DatasetReaderConfig reading;
    reading.scratch_file = JoinPath(config_.data_dir, "dataset-shard");
    reading.threads = config_.dataset_threads;
    reading.most_copied_bytes = static_cast<uint64_t>(config_.max_dataset_bytes);
    dataset_reader_ = std::make_unique<DatasetReader>(
        reading, DatasetReader::Dependencies{driver_.get(), store_.get(), blobs_.get(),
                                             dependencies_.clock, &metrics_});
    driver_->Start();
    DISTILL_RETURN_IF_ERROR(reports_->Recover());
    return dataset_reader_->Recover();
  }

  // Called on the driver's thread.
  void Unlink(std::vector<Digest> digests) {
    const absl::Status queued = transfers_->Submit([this, digests = std::move(digests)] {
      BlobsGone gone;
      for (const Digest& digest : digests) {
        // The next leader, which may have got the blob anew, decides.
        if (!leadership_->Leads()) return;
        const absl::Status deleted = blobs_->Delete(digest);
        if (deleted.ok()) {
          gone.digests.push_back(digest);
        } else {
          LogWarning("cannot remove blob", {{"digest", digest.str()}, {"cause", deleted}});
        }
      }
      driver_->Post(std::move(gone), {});
    });
    // Asked for again after the next start.
    if (!queued.ok()) LogWarning("cannot remove blobs now", {{"cause", queued}});
  }

  absl::Status Listen() {
    DISTILL_RETURN_IF_ERROR(OpenGate());
    RpcDependencies dependencies;
    dependencies.gate = gate_.get();
    dependencies.tokens = tokens_.get();
    stalls_ = std::make_unique<StallGuard>(*dependencies_.clock,
                                           absl::Seconds(config_.stream_stall_seconds));
    dependencies.stalls = stalls_.get();
    dependencies.driver = driver_.get();
    dependencies.store = store_.get();
    dependencies.blobs = blobs_.get();
    dependencies.queries = queries_.get();
    dependencies.transfers = transfers_.get();
    dependencies.datasets = datasets_.get();
    dependencies.dataset_reader = dataset_reader_.get();
    dependencies.reports = reports_.get();
    dependencies.open_calls = &open_calls_;
    dependencies.live_logs = &live_logs_;
    dependencies.live_series = &live_series_;
    dependencies.clock = dependencies_.clock;
    dependencies.ids = dependencies_.ids;
    dependencies.metrics = &metrics_;
    dependencies.limits.heartbeat_interval = absl::Seconds(config_.heartbeat_seconds);
    dependencies.limits.lease_duration = absl::Seconds(config_.lease_seconds);
    dependencies.limits.data_dir = config_.data_dir;
    dependencies.limits.min_free_disk_bytes = config_.blobs.min_free_disk_bytes;
    AddCallSeries(metrics_);
    services_.push_back(std::make_unique<JobService>(dependencies));
    services_.push_back(std::make_unique<TaskService>(dependencies));
    services_.push_back(std::make_unique<FleetService>(dependencies));
    services_.push_back(std::make_unique<WorkerService>(dependencies));
    services_.push_back(std::make_unique<ArtifactService>(dependencies));
    services_.push_back(std::make_unique<DatasetService>(dependencies));
    services_.push_back(std::make_unique<CacheService>(dependencies));
    services_.push_back(std::make_unique<AuthService>(dependencies));
    DISTILL_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::ServerCredentials> credentials,
                             ListenCredentials(config_, dependencies_.clock->WallNow()));
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    // Reflection asks nobody who it is, so it is there only where nobody has to say.
    if (has_tls()) builder.SetOption(std::make_unique<NoReflectionOption>());
    SetConnectionLimits(builder);
    int port = 0;
    builder.AddListeningPort(config_.listen, credentials, &port);
    for (const auto& service : services_) builder.RegisterService(service.get());
    grpc_server_ = builder.BuildAndStart();
    if (grpc_server_ == nullptr || port == 0) {
      return absl::UnavailableError(
          absl::StrCat("cannot listen for gRPC on ", config_.listen,
                       ": the port is in use or the address is not of this machine; choose another "
                       "--listen, or port 0 for any free one"));
    }
    DISTILL_ASSIGN_OR_RETURN(const HostPort parsed, ParseHostPort(config_.listen));
    grpc_address_ = JoinHostPort({parsed.host, port});
    SetServing(false);
    return absl::OkStatus();
  }

  bool has_tls() const { return !config_.tls_certificate.empty(); }

  absl::Status OpenGate() {
    AuditLog::Config audit;
    audit.path = JoinPath(config_.data_dir, "audit.jsonl");
    audit.max_file_bytes = config_.audit_file_bytes;
    audit.max_old_files = config_.audit_files;
    DISTILL_ASSIGN_OR_RETURN(audit_, AuditLog::Open(audit, *dependencies_.clock));
    tokens_ = std::make_unique<TokenRegistry>(
        *dependencies_.clock, [this](const storage::TouchToken& touch) {
          driver_->Post(StoreRows{{touch}}, [](absl::StatusOr<Done>) {});
        });
    DISTILL_ASSIGN_OR_RETURN(const std::vector<storage::TokenRecord> records, store_->ListTokens());
    for (const storage::TokenRecord& record : records) tokens_->Put(record);
    Gate::Dependencies dependencies;
    dependencies.tokens = tokens_.get();
    dependencies.audit = audit_.get();
    dependencies.metrics = &metrics_;
    dependencies.project_of_job = [this](const JobId& id) -> absl::StatusOr<ProjectId> {
      DISTILL_ASSIGN_OR_RETURN(const storage::JobRecord job, store_->GetJob(id));
      return job.project;
    };
    gate_ = std::make_unique<Gate>(has_tls() ? Gate::Callers::kKnown : Gate::Callers::kAnonymous,
                                   dependencies);
    return absl::OkStatus();
  }

  absl::Status ListenHttp() {
    MaintenanceConfig maintenance;
    maintenance.data_dir = config_.data_dir;
    maintenance.database_path = DatabasePath();
    maintenance.tls_certificate = config_.tls_certificate;
    maintenance.retention = {
        absl::Hours(config_.job_retention_hours), absl::Hours(config_.blobs.blob_grace_hours),
        config_.blobs.max_disk_bytes, absl::Hours(config_.blobs.checkpoint_grace_hours),
        absl::Hours(config_.blobs.log_retention_hours)};
    maintenance.upload_retention = absl::Hours(config_.blobs.upload_retention_hours);
    maintenance.collect_interval = absl::Seconds(config_.collect_interval_seconds);
    maintenance.retry_reports = [this] { reports_->RetryFailed(); };
    maintenance_ = std::make_unique<Maintenance>(maintenance, *driver_, *blobs_,
                                                 *dependencies_.clock, metrics_);
    maintenance_->Start();
    if (config_.blobs.scrub_bytes_per_second > 0) StartScrubber();
    if (config_.http.empty()) return absl::OkStatus();
    DISTILL_ASSIGN_OR_RETURN(const HostPort parsed, ParseHostPort(config_.http));
    ObservabilityServer::Config config;
    config.host = parsed.host;
    config.port = parsed.port;
    config.threads = kHttpThreads;
    config.max_streams = kMostEventStreams;
    http_server_ = std::make_unique<ObservabilityServer>(config, metrics_, [this] {
      return ready_ ? driver_->Health() : absl::UnavailableError("starting or stopping");
    });
    SetLeading(metrics_, true);
    gateway_ = std::make_unique<ApiGateway>(
        grpc_server_->InProcessChannel(grpc::ChannelArguments()), metrics_);
    page_ = std::make_unique<StatusPage>(
        *gateway_, has_tls() ? StatusPage::Summary::kHidden : StatusPage::Summary::kShown);
    const auto show = [this](const WebRequest& request) { return page_->Handle(request); };
    http_server_->AddGet("/", show);
    http_server_->AddGet("/static/", show);
    http_server_->AddGet("/api/",
                         [this](const WebRequest& request) { return gateway_->Handle(request); });
    const absl::Status started = http_server_->Start();
    if (!started.ok()) {
      return Annotate(started, absl::StrCat("cannot listen for HTTP on ", config_.http,
                                            "; choose another --http"));
    }
    http_address_ = JoinHostPort({parsed.host, http_server_->port()});
    return absl::OkStatus();
  }

  void StartScrubber() {
    Scrubber::Config config;
    config.bytes_per_second = static_cast<uint64_t>(config_.blobs.scrub_bytes_per_second);
    config.interval = absl::Hours(config_.blobs.scrub_interval_hours);
    scrubber_ = std::make_unique<Scrubber>(
        config, Scrubber::Dependencies{driver_.get(), store_.get(), blobs_.get(),
                                       dependencies_.clock, &metrics_});
    scrubber_->Start();
  }

  absl::Status WriteAddresses() {
    LogInfo("server is ready", {{"grpc", grpc_address_},
                                {"http", http_address_},
                                {"data_dir", config_.data_dir},
                                {"version", DISTILL_VERSION}});
    if (config_.addresses_file.empty()) return absl::OkStatus();
    return WriteAddressesFile(config_.addresses_file, grpc_address_, http_address_);
  }

  void SetServing(bool serving) {
    if (grpc_server_ == nullptr || grpc_server_->GetHealthCheckService() == nullptr) return;
    grpc_server_->GetHealthCheckService()->SetServingStatus(serving);
  }

  std::string DatabasePath() const { return JoinPath(config_.data_dir, "state.db"); }

  const ServerConfig config_;
  const Dependencies dependencies_;
  std::atomic<bool> ready_{false};
  bool stopped_ = false;
  std::string grpc_address_;
  std::string http_address_;

  // In start order, so that destruction is the stop order.
  PrometheusMetrics metrics_;
  OpenCalls open_calls_{metrics_};
  LiveLogs live_logs_;
  LiveSeries live_series_;
  std::unique_ptr<storage::Leadership> own_leadership_;
  storage::Leadership* leadership_ = nullptr;
  std::unique_ptr<storage::StateStore> store_;
  std::unique_ptr<storage::BlobStore> blobs_;
  std::unique_ptr<Driver> driver_;
  std::unique_ptr<IoExecutor> queries_;
  std::unique_ptr<IoExecutor> transfers_;
  std::unique_ptr<DatasetCatalog> datasets_;
  std::unique_ptr<DatasetReader> dataset_reader_;
  std::unique_ptr<ReportPublisher> reports_;
  std::unique_ptr<Maintenance> maintenance_;
  std::unique_ptr<Scrubber> scrubber_;
  std::unique_ptr<AuditLog> audit_;
  std::unique_ptr<TokenRegistry> tokens_;
  std::unique_ptr<Gate> gate_;
  std::unique_ptr<StallGuard> stalls_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> grpc_server_;
  std::unique_ptr<ApiGateway> gateway_;
  std::unique_ptr<StatusPage> page_;
  std::unique_ptr<ObservabilityServer> http_server_;
};

}  // namespace

absl::Status WriteAddressesFile(const std::string& path, const std::string& grpc_address,
                                const std::string& http_address) {
  return WriteFileAtomically(path,
                             absl::StrCat("grpc=", grpc_address, "\nhttp=", http_address, "\n"));
}

absl::StatusOr<std::unique_ptr<ServerApp>> ServerApp::Start(const ServerConfig& config,
                                                            const Dependencies& dependencies) {
  DISTILL_RETURN_IF_ERROR(ValidateConfig(config));
  auto app = std::make_unique<ServerAppImpl>(config, dependencies);
  DISTILL_RETURN_IF_ERROR(app->Open());
  return app;
}

}  // namespace distill::server
