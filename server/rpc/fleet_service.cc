#include "server/rpc/fleet_service.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "server/rpc/convert.h"

namespace distill::server {
namespace {

absl::Status Stopped() { return absl::UnavailableError("the server is stopping; retry later"); }

}  // namespace

FleetService::FleetService(const RpcDependencies& dependencies)
    : dependencies_(dependencies), metrics_(*dependencies.clock, *dependencies.metrics) {}

grpc::ServerUnaryReactor* FleetService::ListWorkers(grpc::CallbackServerContext* context,
                                                    const v1::ListWorkersRequest* request,
                                                    v1::ListWorkersResponse* response) {
  return StartCall(context, "ListWorkers", metrics_, *request, [&](const UnaryCallPtr& call) {
    dependencies_.driver->PostQuery([call, request, response](const Core* core, MonotonicTime now) {
      if (core == nullptr) return call->Finish(Stopped());
      std::vector<WorkerView> workers = core->Workers(now);
      std::sort(workers.begin(), workers.end(),
                [](const WorkerView& a, const WorkerView& b) { return a.info.id < b.info.id; });
      const int limit = request->page_size() == 0 ? kMostPageSize : request->page_size();
      for (const WorkerView& worker : workers) {
        if (worker.info.id.str() <= request->page_token()) continue;
        if (response->workers_size() == limit) {
          response->set_next_page_token(response->workers(limit - 1).info().worker_id());
          break;
        }
        *response->add_workers() = ToProto(worker);
      }
      call->Finish(absl::OkStatus());
    });
  });
}

void FleetService::SetDrainingAndShow(const UnaryCallPtr& call, const WorkerId& worker,
                                      bool draining, v1::Worker& response) {
  Driver* const driver = dependencies_.driver;
  driver->Post(SetDraining{worker, draining}, [driver, call, worker, draining,
                                               &response](absl::StatusOr<Done> reply) {
    if (!reply.ok()) return call->Finish(reply.status());
    driver->PostQuery([call, worker, draining, &response](const Core* core, MonotonicTime now) {
      if (core == nullptr) return call->Finish(Stopped());
      // A worker that is not connected has no view; its decision is stored all the same.
      response.mutable_info()->set_worker_id(worker.str());
      response.set_draining(draining);
      response.set_state(v1::WORKER_STATE_LOST);
      for (const WorkerView& view : core->Workers(now)) {
        if (view.info.id == worker) response = ToProto(view);
      }
      call->Finish(absl::OkStatus());
    });
  });
}

grpc::ServerUnaryReactor* FleetService::DrainWorker(grpc::CallbackServerContext* context,
                                                    const v1::DrainWorkerRequest* request,
                                                    v1::Worker* response) {
  return StartCall(context, "DrainWorker", metrics_, *request, [&](const UnaryCallPtr& call) {
    SetDrainingAndShow(call, WorkerId(request->worker_id()), /*draining=*/true, *response);
  });
}

grpc::ServerUnaryReactor* FleetService::ResumeWorker(grpc::CallbackServerContext* context,
                                                     const v1::ResumeWorkerRequest* request,
                                                     v1::Worker* response) {
  return StartCall(context, "ResumeWorker", metrics_, *request, [&](const UnaryCallPtr& call) {
    SetDrainingAndShow(call, WorkerId(request->worker_id()), /*draining=*/false, *response);
  });
}

}  // namespace distill::server
