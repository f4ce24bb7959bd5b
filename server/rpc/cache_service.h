// The calls about results that equal tasks share.
#pragma once

#include <optional>

#include "distill/v1/cache_service.grpc.pb.h"
#include "server/rpc/call.h"
#include "server/rpc/rpc_dependencies.h"
#include "storage/state/records.h"

namespace distill::server {

// Thread-safe.
class CacheService : public v1::CacheService::CallbackService {
 public:
  explicit CacheService(const RpcDependencies& dependencies);

  grpc::ServerUnaryReactor* ExplainKey(grpc::CallbackServerContext* context,
                                       const v1::ExplainKeyRequest* request,
                                       v1::KeyExplanation* response) override;
  grpc::ServerUnaryReactor* GetCacheStats(grpc::CallbackServerContext* context,
                                          const v1::GetCacheStatsRequest* request,
                                          v1::CacheStats* response) override;
  grpc::ServerUnaryReactor* EvictResult(grpc::CallbackServerContext* context,
                                        const v1::EvictResultRequest* request,
                                        v1::EvictResultResponse* response) override;

 private:
  // What a request names: a key in a project, by itself or by a task that has it.
  struct Named {
    ProjectId project;
    Digest key;  // Empty when the task shares nothing.
    std::optional<storage::TaskRecord> task;
  };
  template <typename Request>
  absl::StatusOr<Named> Find(const Request& request) const;

  const RpcDependencies dependencies_;
  const CallMetrics metrics_;
};

}  // namespace distill::server
