// The calls of operators about workers.
#pragma once

#include "distill/v1/fleet_service.grpc.pb.h"
#include "server/rpc/call.h"
#include "server/rpc/rpc_dependencies.h"

namespace distill::server {

// Thread-safe.
class FleetService : public v1::FleetService::CallbackService {
 public:
  explicit FleetService(const RpcDependencies& dependencies);

  grpc::ServerUnaryReactor* ListWorkers(grpc::CallbackServerContext* context,
                                        const v1::ListWorkersRequest* request,
                                        v1::ListWorkersResponse* response) override;
  grpc::ServerUnaryReactor* DrainWorker(grpc::CallbackServerContext* context,
                                        const v1::DrainWorkerRequest* request,
                                        v1::Worker* response) override;
  grpc::ServerUnaryReactor* ResumeWorker(grpc::CallbackServerContext* context,
                                         const v1::ResumeWorkerRequest* request,
                                         v1::Worker* response) override;

 private:
  void SetDrainingAndShow(const UnaryCallPtr& call, const WorkerId& worker, bool draining,
                          v1::Worker& response);

  const RpcDependencies dependencies_;
  const CallMetrics metrics_;
};

}  // namespace distill::server
