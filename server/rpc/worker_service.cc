#include "server/rpc/worker_service.h"

#include <optional>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "server/rpc/convert.h"
#include "server/rpc/corrupt_blobs.h"

namespace distill::server {
namespace {

// A long poll that gives its place in the queue up when its caller goes away. It lives until
// OnDone(), which gRPC does not call before the reactor was returned to it.
class AcquireReactor : public grpc::ServerUnaryReactor {
 public:
  AcquireReactor(Driver& driver, grpc::CallbackServerContext& context, const CallMetrics& metrics,
                 v1::AcquireTasksResponse& response)
      : driver_(&driver), record_(context, "AcquireTasks", metrics), response_(&response) {}

  void Start(const v1::AcquireTasksRequest& request) {
    const absl::Status status = record_.Admit(request);
    if (!status.ok()) return End(status);
    const uint64_t number =
        driver_->Post(FromProto(request),
                      [this](absl::StatusOr<AcquireReply> reply) { Answer(std::move(reply)); });
    bool abandon = false;
    {
      MutexLock lock(mu_);
      number_ = number;
      abandon = cancelled_;
    }
    if (abandon) driver_->Abandon(number);
  }

  void OnCancel() override {
    uint64_t number = 0;
    {
      MutexLock lock(mu_);
      cancelled_ = true;
      number = number_;
    }
    if (number != 0) driver_->Abandon(number);
  }

  void OnDone() override { delete this; }

 private:
  void Answer(absl::StatusOr<AcquireReply> reply) {
    if (!reply.ok()) return End(reply.status());
    for (const LeaseSet& lease_set : reply->lease_sets) {
      absl::StatusOr<v1::LeaseSet> proto = ToProto(lease_set);
      if (!proto.ok()) return End(proto.status());
      *response_->add_lease_sets() = *std::move(proto);
    }
    for (const Directive& directive : reply->directives) {
      *response_->add_directives() = ToProto(directive);
    }
    End(absl::OkStatus());
  }

  void End(const absl::Status& status) {
    record_.End(status);
    Finish(ToGrpcStatus(status));
  }

  Driver* const driver_;
  CallRecord record_;
  v1::AcquireTasksResponse* const response_;
  Mutex mu_;
  uint64_t number_ ABSL_GUARDED_BY(mu_) = 0;  // 0 until Post() has returned.
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
};

template <typename Response>
void SetDirectives(const std::vector<Directive>& directives, Response& response) {
  for (const Directive& directive : directives) *response.add_directives() = ToProto(directive);
}

// Answers a call whose items the core judged one by one.
template <typename EventType, typename Response>
void PostItems(Driver& driver, const UnaryCallPtr& call, EventType event, Response& response) {
  std::vector<LeaseRef> leases;
  for (const auto& item : event.items) leases.push_back(item.lease);
  driver.Post(std::move(event),
              [call, leases = std::move(leases), &response](absl::StatusOr<ItemStatuses> reply) {
                if (!reply.ok()) return call->Finish(reply.status());
                for (size_t i = 0; i < leases.size() && i < reply->statuses.size(); ++i) {
                  *response.add_statuses() = ToProto(leases[i], reply->statuses[i]);
                }
                call->Finish(absl::OkStatus());
              });
}

// Returns which of the blobs are really missing or corrupt; corrupt ones are counted and set aside.
// What the worker has no task for is not looked at.
std::vector<Digest> TakeOutBadBlobs(storage::BlobStore& blobs, Counter& corrupt,
                                    const BlobAccess& access, const Caller& caller,
                                    const v1::FailAttemptsRequest& request) {
  std::vector<Digest> gone;
  for (const auto& item : request.items()) {
    for (const std::string& text : item.bad_inputs()) {
      const absl::StatusOr<Digest> digest = Digest::Parse(text);
      if (!digest.ok() || !access.CheckReadable(caller, *digest).ok()) continue;
      const absl::Status verified = blobs.Verify(*digest);
      if (absl::IsDataLoss(verified)) corrupt.Increment();
      if (absl::IsDataLoss(verified) && !blobs.Quarantine(*digest).ok()) continue;
      if (absl::IsDataLoss(verified) || absl::IsNotFound(verified)) gone.push_back(*digest);
    }
  }
  return gone;
}

}  // namespace

WorkerService::WorkerService(const RpcDependencies& dependencies)
    : dependencies_(dependencies),
      metrics_(*dependencies.clock, *dependencies.metrics, *dependencies.gate,
               dependencies.open_calls),
      access_(*dependencies.driver, *dependencies.store) {}

grpc::ServerUnaryReactor* WorkerService::RegisterWorker(grpc::CallbackServerContext* context,
                                                        const v1::RegisterWorkerRequest* request,
                                                        v1::RegisterWorkerResponse* response) {
  return StartCall(context, "RegisterWorker", metrics_, *request, [&](const UnaryCallPtr& call) {
    response->set_heartbeat_interval_seconds(
        absl::ToDoubleSeconds(dependencies_.limits.heartbeat_interval));
    response->set_lease_seconds(absl::ToDoubleSeconds(dependencies_.limits.lease_duration));
    dependencies_.driver->Post(FromProto(*request),
                               [call, response](absl::StatusOr<Directives> reply) {
                                 if (reply.ok()) SetDirectives(reply->directives, *response);
                                 call->Finish(reply.status());
                               });
  });
}

grpc::ServerUnaryReactor* WorkerService::AcquireTasks(grpc::CallbackServerContext* context,
                                                      const v1::AcquireTasksRequest* request,
                                                      v1::AcquireTasksResponse* response) {
  auto* reactor = new AcquireReactor(*dependencies_.driver, *context, metrics_, *response);
  reactor->Start(*request);
  return reactor;
}

grpc::ServerUnaryReactor* WorkerService::Heartbeat(grpc::CallbackServerContext* context,
                                                   const v1::HeartbeatRequest* request,
                                                   v1::HeartbeatResponse* response) {
  return StartCall(context, "Heartbeat", metrics_, *request, [&](const UnaryCallPtr& call) {
    response->set_next_heartbeat_seconds(
        absl::ToDoubleSeconds(dependencies_.limits.heartbeat_interval));
    AnswerObservations(*request, *response);
    dependencies_.driver->Post(FromProto(*request),
                               [call, response](absl::StatusOr<Directives> reply) {
                                 if (reply.ok()) SetDirectives(reply->directives, *response);
                                 call->Finish(reply.status());
                               });
  });
}

void WorkerService::AnswerObservations(const v1::HeartbeatRequest& request,
                                       v1::HeartbeatResponse& response) {
  const MonotonicTime now = dependencies_.clock->Now();
  for (const v1::LeaseProgress& progress : request.leases()) {
    const LeaseId lease(progress.lease().lease_id());
    if (const auto offset = dependencies_.live_logs->WantedOffset(lease)) {
      v1::LogWish& wish = *response.add_wanted_logs();
      wish.set_lease_id(lease.str());
      wish.set_offset(*offset);
    }
    if (!progress.started()) continue;
    (*response.mutable_points_known())[lease.str()] =
        dependencies_.live_series->Take(lease, progress.first_point(), progress.points(), now);
  }
}

// The lease id is known to the server and to its holder only, so a piece that names one that is
// followed comes from the holder; any other is dropped.
grpc::ServerUnaryReactor* WorkerService::SendLog(grpc::CallbackServerContext* context,
                                                 const v1::SendLogRequest* request,
                                                 v1::SendLogResponse* response) {
  return StartCall(context, "SendLog", metrics_, *request, [&](const UnaryCallPtr& call) {
    const std::optional<int64_t> next = dependencies_.live_logs->Receive(
        LeaseId(request->lease().lease_id()), request->offset(), request->data());
    response->set_wanted(next.has_value());
    response->set_next_offset(next.value_or(0));
    call->Finish(absl::OkStatus());
  });
}

grpc::ServerUnaryReactor* WorkerService::CompleteAttempts(
    grpc::CallbackServerContext* context, const v1::CompleteAttemptsRequest* request,
    v1::CompleteAttemptsResponse* response) {
  return StartCall(context, "CompleteAttempts", metrics_, *request, [&](const UnaryCallPtr& call) {
    PostItems(*dependencies_.driver, call, FromProto(*request), *response);
  });
}

void WorkerService::FailAfterChecking(const UnaryCallPtr& call,
                                      const v1::FailAttemptsRequest& request,
                                      v1::FailAttemptsResponse& response) {
  BlobsGone gone{TakeOutBadBlobs(*dependencies_.blobs, CorruptBlobs(*dependencies_.metrics),
                                 access_, call->caller(), request)};
  if (gone.digests.empty()) {
    return PostItems(*dependencies_.driver, call, FromProto(request), response);
  }
  Driver* const driver = dependencies_.driver;
  driver->Post(std::move(gone), [driver, call, &request, &response](absl::StatusOr<Done> reply) {
    if (!reply.ok()) return call->Finish(reply.status());
    PostItems(*driver, call, FromProto(request), response);
  });
}

grpc::ServerUnaryReactor* WorkerService::FailAttempts(grpc::CallbackServerContext* context,
                                                      const v1::FailAttemptsRequest* request,
                                                      v1::FailAttemptsResponse* response) {
  return StartCall(context, "FailAttempts", metrics_, *request, [&](const UnaryCallPtr& call) {
    bool has_bad_inputs = false;
    for (const auto& item : request->items()) {
      has_bad_inputs = has_bad_inputs || !item.bad_inputs().empty();
    }
    if (!has_bad_inputs) {
      return PostItems(*dependencies_.driver, call, FromProto(*request), *response);
    }
    const absl::Status queued = dependencies_.transfers->Submit(
        [this, call, request, response] { FailAfterChecking(call, *request, *response); });
    if (!queued.ok()) call->Finish(queued);
  });
}

grpc::ServerUnaryReactor* WorkerService::ReleaseLeases(grpc::CallbackServerContext* context,
                                                       const v1::ReleaseLeasesRequest* request,
                                                       v1::ReleaseLeasesResponse* response) {
  return StartCall(context, "ReleaseLeases", metrics_, *request, [&](const UnaryCallPtr& call) {
    PostItems(*dependencies_.driver, call, FromProto(*request), *response);
  });
}

}  // namespace distill::server
