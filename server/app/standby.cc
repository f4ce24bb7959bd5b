#include "server/app/standby.h"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <chrono>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "base/observability_server.h"
#include "base/prometheus_metrics.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "server/app/listening.h"

namespace distill::server {
namespace {

constexpr std::chrono::milliseconds kStopGrace(100);

// The leader as calls are told of it. Thread-safe.
class LeaderAddress {
 public:
  void Set(const std::string& address) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    address_ = address;
  }
  std::string Get() const ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    return address_;
  }
  std::string Refusal() const {
    const std::string address = Get();
    return absl::StrCat("cannot serve: this server stands by; leader=",
                        address.empty() ? "unknown" : address);
  }

 private:
  mutable Mutex mu_;
  std::string address_ ABSL_GUARDED_BY(mu_);
};

// Ends one call at once; deletes itself.
class RefusingReactor : public grpc::ServerGenericBidiReactor {
 public:
  explicit RefusingReactor(const std::string& message) {
    Finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, message));
  }
  void OnDone() override { delete this; }
};

class RefusingService : public grpc::CallbackGenericService {
 public:
  explicit RefusingService(const LeaderAddress& leader) : leader_(leader) {}

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    const std::string leader = leader_.Get();
    if (!leader.empty()) context->AddTrailingMetadata(kLeaderMetadata, leader);
    return new RefusingReactor(leader_.Refusal());
  }

 private:
  const LeaderAddress& leader_;
};

class StandbyImpl : public Standby {
 public:
  ~StandbyImpl() override { StandbyImpl::Stop(); }

  absl::Status Listen(const ServerConfig& config) {
    DISTILL_ASSIGN_OR_RETURN(const HostPort grpc_parsed, ParseHostPort(config.listen));
    DISTILL_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::ServerCredentials> credentials,
                             ListenCredentials(config, SystemClock().WallNow()));
    grpc::EnableDefaultHealthCheckService(true);
    grpc::ServerBuilder builder;
    SetConnectionLimits(builder);
    int port = 0;
    builder.AddListeningPort(config.listen, credentials, &port);
    builder.RegisterCallbackGenericService(&service_);
    grpc_server_ = builder.BuildAndStart();
    if (grpc_server_ == nullptr || port == 0) {
      return absl::UnavailableError(
          absl::StrCat("cannot listen for gRPC on ", config.listen,
                       ": the port is in use or the address is not of this machine; choose another "
                       "--listen, or port 0 for any free one"));
    }
    grpc_server_->GetHealthCheckService()->SetServingStatus(false);
    grpc_address_ = JoinHostPort({grpc_parsed.host, port});
    return config.http.empty() ? absl::OkStatus() : ListenHttp(config);
  }

  const std::string& grpc_address() const override { return grpc_address_; }
  const std::string& http_address() const override { return http_address_; }
  void SetLeader(const std::string& address) override { leader_.Set(address); }

  void Stop() override {
    if (grpc_server_ != nullptr) {
      grpc_server_->Shutdown(std::chrono::system_clock::now() + kStopGrace);
      grpc_server_->Wait();
      grpc_server_.reset();
    }
    http_server_.reset();
  }

 private:
  absl::Status ListenHttp(const ServerConfig& config) {
    DISTILL_ASSIGN_OR_RETURN(const HostPort parsed, ParseHostPort(config.http));
    SetLeading(metrics_, false);
    ObservabilityServer::Config http;
    http.host = parsed.host;
    http.port = parsed.port;
    http.threads = 2;
    http_server_ = std::make_unique<ObservabilityServer>(
        http, metrics_, [this] { return absl::UnavailableError(leader_.Refusal()); });
    // A page that comes to it through an address of both waits for the leader.
    const auto refuse = [this](const WebRequest&) {
      return WebResponse{503, "text/plain; charset=utf-8", absl::StrCat(leader_.Refusal(), "\n")};
    };
    for (const char* const path : {"/", "/static/", "/api/"}) http_server_->AddGet(path, refuse);
    const absl::Status started = http_server_->Start();
    if (!started.ok()) {
      return Annotate(started, absl::StrCat("cannot listen for HTTP on ", config.http,
                                            "; choose another --http"));
    }
    http_address_ = JoinHostPort({parsed.host, http_server_->port()});
    return absl::OkStatus();
  }

  LeaderAddress leader_;
  RefusingService service_{leader_};
  PrometheusMetrics metrics_;
  std::string grpc_address_;
  std::string http_address_;
  std::unique_ptr<grpc::Server> grpc_server_;
  std::unique_ptr<ObservabilityServer> http_server_;
};

}  // namespace

void SetLeading(Metrics& metrics, bool leads) {
  metrics
      .AddGauge("distill_server_leading", "1 for the server that leads, 0 for one that stands by.")
      .Set(leads ? 1 : 0);
}

absl::StatusOr<std::unique_ptr<Standby>> Standby::Start(const ServerConfig& config) {
  auto standby = std::make_unique<StandbyImpl>();
  DISTILL_RETURN_IF_ERROR(standby->Listen(config));
  return std::unique_ptr<Standby>(std::move(standby));
}

}  // namespace distill::server
