// The calls of worker daemons. Every one is an event of the scheduler core; nothing is decided
// here.
#pragma once

#include "distill/v1/worker_service.grpc.pb.h"
#include "server/rpc/blob_access.h"
#include "server/rpc/call.h"
#include "server/rpc/rpc_dependencies.h"

namespace distill::server {

// Thread-safe.
class WorkerService : public v1::WorkerService::CallbackService {
 public:
  explicit WorkerService(const RpcDependencies& dependencies);

  grpc::ServerUnaryReactor* RegisterWorker(grpc::CallbackServerContext* context,
                                           const v1::RegisterWorkerRequest* request,
                                           v1::RegisterWorkerResponse* response) override;
  grpc::ServerUnaryReactor* AcquireTasks(grpc::CallbackServerContext* context,
                                         const v1::AcquireTasksRequest* request,
                                         v1::AcquireTasksResponse* response) override;
  grpc::ServerUnaryReactor* Heartbeat(grpc::CallbackServerContext* context,
                                      const v1::HeartbeatRequest* request,
                                      v1::HeartbeatResponse* response) override;
  grpc::ServerUnaryReactor* CompleteAttempts(grpc::CallbackServerContext* context,
                                             const v1::CompleteAttemptsRequest* request,
                                             v1::CompleteAttemptsResponse* response) override;
  grpc::ServerUnaryReactor* FailAttempts(grpc::CallbackServerContext* context,
                                         const v1::FailAttemptsRequest* request,
                                         v1::FailAttemptsResponse* response) override;
  grpc::ServerUnaryReactor* SendLog(grpc::CallbackServerContext* context,
                                    const v1::SendLogRequest* request,
                                    v1::SendLogResponse* response) override;
  grpc::ServerUnaryReactor* ReleaseLeases(grpc::CallbackServerContext* context,
                                          const v1::ReleaseLeasesRequest* request,
                                          v1::ReleaseLeasesResponse* response) override;

 private:
  // What a heartbeat's answer says about logs and training points, which the core does not know.
  void AnswerObservations(const v1::HeartbeatRequest& request, v1::HeartbeatResponse& response);
  // Takes blobs that turned out bad out of the store, then posts the failures.
  void FailAfterChecking(const UnaryCallPtr& call, const v1::FailAttemptsRequest& request,
                         v1::FailAttemptsResponse& response);

  const RpcDependencies dependencies_;
  const CallMetrics metrics_;
  const BlobAccess access_;
};

}  // namespace distill::server
