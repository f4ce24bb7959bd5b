#include "server/rpc/fleet_service.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "server/rpc/convert.h"
#include "server/rpc/ledger_messages.h"
#include "server/rpc/page_token.h"

namespace distill::server {
namespace {

// What a caller may see of a worker: who runs what only with a role in all projects, and the ids
// that prove a lease not at all.
v1::Worker Shown(const WorkerView& view, const Caller& caller) {
  v1::Worker worker = ToProto(view);
  if (!caller.Everywhere(Role::kViewer)) worker.clear_leases();
  if (caller.is_anonymous) return worker;
  for (v1::LeaseRef& lease : *worker.mutable_leases()) lease.clear_lease_id();
  return worker;
}

}  // namespace

FleetService::FleetService(const RpcDependencies& dependencies)
    : dependencies_(dependencies),
      metrics_(*dependencies.clock, *dependencies.metrics, *dependencies.gate,
               dependencies.open_calls) {}

grpc::ServerUnaryReactor* FleetService::ListWorkers(grpc::CallbackServerContext* context,
                                                    const v1::ListWorkersRequest* request,
                                                    v1::ListWorkersResponse* response) {
  return StartCall(context, "ListWorkers", metrics_, *request, [&](const UnaryCallPtr& call) {
    dependencies_.driver->PostQuery([call, request, response](const Core* core, MonotonicTime now) {
      if (core == nullptr) return call->Finish(ServerStopping());
      std::vector<WorkerView> workers = core->Workers(now);
      std::sort(workers.begin(), workers.end(),
                [](const WorkerView& a, const WorkerView& b) { return a.info.id < b.info.id; });
      const int limit = request->page_size() == 0 ? kMostPageSize : request->page_size();
      const PageScope scope{"workers", ""};
      const absl::StatusOr<std::string> after = ReadPageToken(scope, request->page_token());
      if (!after.ok()) return call->Finish(after.status());
      for (const WorkerView& worker : workers) {
        if (worker.info.id.str() <= *after) continue;
        if (response->workers_size() == limit) {
          response->set_next_page_token(
              MakePageToken(scope, response->workers(limit - 1).info().worker_id()));
          break;
        }
        *response->add_workers() = Shown(worker, call->caller());
      }
      call->Finish(absl::OkStatus());
    });
  });
}

void FleetService::Show(const UnaryCallPtr& call, const WorkerId& worker, v1::Worker& response) {
  dependencies_.driver->PostQuery([call, worker, &response](const Core* core, MonotonicTime now) {
    if (core == nullptr) return call->Finish(ServerStopping());
    response = Shown(core->FindWorker(worker, now), call->caller());
    call->Finish(absl::OkStatus());
  });
}

grpc::ServerUnaryReactor* FleetService::DrainWorker(grpc::CallbackServerContext* context,
                                                    const v1::DrainWorkerRequest* request,
                                                    v1::Worker* response) {
  return StartCall(context, "DrainWorker", metrics_, *request, [&](const UnaryCallPtr& call) {
    const WorkerId worker(request->worker_id());
    server::DrainWorker event;
    event.worker = worker;
    if (request->deadline_seconds() > 0) {
      event.deadline = absl::Seconds(request->deadline_seconds());
    }
    dependencies_.driver->Post(event, [this, call, worker, response](absl::StatusOr<Done> reply) {
      if (!reply.ok()) return call->Finish(reply.status());
      Show(call, worker, *response);
    });
  });
}

grpc::ServerUnaryReactor* FleetService::QuarantineWorker(grpc::CallbackServerContext* context,
                                                         const v1::QuarantineWorkerRequest* request,
                                                         v1::Worker* response) {
  return StartCall(context, "QuarantineWorker", metrics_, *request, [&](const UnaryCallPtr& call) {
    const WorkerId worker(request->worker_id());
    dependencies_.driver->Post(server::QuarantineWorker{worker, request->reason()},
                               [this, call, worker, response](absl::StatusOr<Done> reply) {
                                 if (!reply.ok()) return call->Finish(reply.status());
                                 Show(call, worker, *response);
                               });
  });
}

grpc::ServerUnaryReactor* FleetService::ResumeWorker(grpc::CallbackServerContext* context,
                                                     const v1::ResumeWorkerRequest* request,
                                                     v1::Worker* response) {
  return StartCall(context, "ResumeWorker", metrics_, *request, [&](const UnaryCallPtr& call) {
    const WorkerId worker(request->worker_id());
    dependencies_.driver->Post(server::ReleaseWorker{worker},
                               [this, call, worker, response](absl::StatusOr<Done> reply) {
                                 if (!reply.ok()) return call->Finish(reply.status());
                                 Show(call, worker, *response);
                               });
  });
}

grpc::ServerUnaryReactor* FleetService::ListQuotas(grpc::CallbackServerContext* context,
                                                   const v1::ListQuotasRequest* request,
                                                   v1::ListQuotasResponse* response) {
  return StartCall(context, "ListQuotas", metrics_, *request, [&](const UnaryCallPtr& call) {
    dependencies_.driver->PostQuery([call, response](const Core* core, MonotonicTime now) {
      if (core == nullptr) return call->Finish(ServerStopping());
      for (const QuotaView& view : core->Quotas(now)) {
        if (call->caller().RoleIn(view.quota.project) == Role::kNone) continue;
        *response->add_quotas() = ToProto(view);
      }
      call->Finish(absl::OkStatus());
    });
  });
}

grpc::ServerUnaryReactor* FleetService::SetQuota(grpc::CallbackServerContext* context,
                                                 const v1::SetQuotaRequest* request,
                                                 v1::Quota* response) {
  return StartCall(context, "SetQuota", metrics_, *request, [&](const UnaryCallPtr& call) {
    Driver* const driver = dependencies_.driver;
    const storage::QuotaRecord quota = FromProto(request->quota());
    driver->Post(server::SetQuota{quota},
                 [driver, call, quota, response](absl::StatusOr<Done> reply) {
                   if (!reply.ok()) return call->Finish(reply.status());
                   driver->PostQuery([call, quota, response](const Core* core, MonotonicTime now) {
                     if (core == nullptr) return call->Finish(ServerStopping());
                     for (const QuotaView& view : core->Quotas(now)) {
                       if (view.quota.project == quota.project) *response = ToProto(view);
                     }
                     call->Finish(absl::OkStatus());
                   });
                 });
  });
}

grpc::ServerUnaryReactor* FleetService::DeleteQuota(grpc::CallbackServerContext* context,
                                                    const v1::DeleteQuotaRequest* request,
                                                    v1::DeleteQuotaResponse*) {
  return StartCall(context, "DeleteQuota", metrics_, *request, [&](const UnaryCallPtr& call) {
    dependencies_.driver->Post(
        server::DeleteQuota{ProjectId(request->project())},
        [call](const absl::StatusOr<Done>& reply) { call->Finish(reply.status()); });
  });
}

grpc::ServerUnaryReactor* FleetService::ListLedgers(grpc::CallbackServerContext* context,
                                                    const v1::ListLedgersRequest* request,
                                                    v1::ListLedgersResponse* response) {
  return StartCall(context, "ListLedgers", metrics_, *request, [&](const UnaryCallPtr& call) {
    dependencies_.driver->PostQuery([call, request, response](const Core* core, MonotonicTime now) {
      if (core == nullptr) return call->Finish(ServerStopping());
      for (const LedgerView& view : core->ProjectLedgers(now)) {
        if (!request->project().empty() && view.project.str() != request->project()) continue;
        *response->add_ledgers() = ToProto(view);
      }
      call->Finish(absl::OkStatus());
    });
  });
}

}  // namespace distill::server
