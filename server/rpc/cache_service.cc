#include "server/rpc/cache_service.h"

#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "server/rpc/key_explainer.h"
#include "server/rpc/ledger_messages.h"

namespace distill::server {

CacheService::CacheService(const RpcDependencies& dependencies)
    : dependencies_(dependencies),
      metrics_(*dependencies.clock, *dependencies.metrics, *dependencies.gate,
               dependencies.open_calls) {}

template <typename Request>
absl::StatusOr<CacheService::Named> CacheService::Find(const Request& request) const {
  Named named;
  if (!request.key().empty()) {
    named.project = ProjectId(request.project().empty() ? "default" : request.project());
    DISTILL_ASSIGN_OR_RETURN(named.key, Digest::Parse(request.key()));
    return named;
  }
  const JobId job(request.job());
  DISTILL_ASSIGN_OR_RETURN(const storage::JobRecord record, dependencies_.store->GetJob(job));
  DISTILL_ASSIGN_OR_RETURN(named.task,
                           dependencies_.store->GetTask(storage::MakeTaskId(job, request.task())));
  named.project = record.project;
  named.key = named.task->definition.key;
  return named;
}

grpc::ServerUnaryReactor* CacheService::ExplainKey(grpc::CallbackServerContext* context,
                                                   const v1::ExplainKeyRequest* request,
                                                   v1::KeyExplanation* response) {
  return StartCall(context, "ExplainKey", metrics_, *request, [&](const UnaryCallPtr& call) {
    const absl::Status queued = dependencies_.queries->Submit([this, call, request, response] {
      absl::StatusOr<Named> found = Find(*request);
      if (!found.ok()) return call->Finish(found.status());
      const auto named = std::make_shared<const Named>(*std::move(found));
      dependencies_.driver->PostQuery([this, call, response, named](const Core* core,
                                                                    MonotonicTime) {
        if (core == nullptr) return call->Finish(ServerStopping());
        const auto view =
            std::make_shared<const KeyView>(core->FindKey(named->project, named->key));
        RunOn(*dependencies_.queries, call, [this, response, named, view]() -> absl::Status {
          KeyExplainer explainer(*dependencies_.store);
          absl::StatusOr<v1::KeyExplanation> explanation =
              named->task.has_value() ? explainer.ExplainTask(*named->task, named->project, *view)
                                      : explainer.ExplainKey(named->project, named->key, *view);
          if (!explanation.ok()) return explanation.status();
          *response = *std::move(explanation);
          return absl::OkStatus();
        });
      });
    });
    if (!queued.ok()) call->Finish(queued);
  });
}

grpc::ServerUnaryReactor* CacheService::GetCacheStats(grpc::CallbackServerContext* context,
                                                      const v1::GetCacheStatsRequest* request,
                                                      v1::CacheStats* response) {
  return StartCall(context, "GetCacheStats", metrics_, *request, [&](const UnaryCallPtr& call) {
    dependencies_.driver->PostQuery([call, request, response](const Core* core, MonotonicTime) {
      if (core == nullptr) return call->Finish(ServerStopping());
      for (const CacheRow& row : core->CacheRows()) {
        if (!request->project().empty() && row.project.str() != request->project()) continue;
        *response->add_rows() = ToProto(row);
      }
      call->Finish(absl::OkStatus());
    });
  });
}

grpc::ServerUnaryReactor* CacheService::EvictResult(grpc::CallbackServerContext* context,
                                                    const v1::EvictResultRequest* request,
                                                    v1::EvictResultResponse* response) {
  return StartCall(context, "EvictResult", metrics_, *request, [&](const UnaryCallPtr& call) {
    const absl::Status queued = dependencies_.queries->Submit([this, call, request, response] {
      const absl::StatusOr<Named> named = Find(*request);
      if (!named.ok()) return call->Finish(named.status());
      response->set_key(named->key.str());
      if (named->key.empty()) return call->Finish(absl::OkStatus());
      dependencies_.driver->Post(server::EvictResult{named->project, named->key},
                                 [call, response](const absl::StatusOr<EvictResultReply>& reply) {
                                   if (reply.ok()) response->set_evicted(reply->existed);
                                   call->Finish(reply.status());
                                 });
    });
    if (!queued.ok()) call->Finish(queued);
  });
}

}  // namespace distill::server
