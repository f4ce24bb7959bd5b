#include "server/rpc/task_service.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "server/rpc/attempt_observations.h"
#include "server/rpc/blob_stream.h"
#include "server/rpc/convert.h"
#include "server/rpc/log_reactor.h"
#include "server/rpc/page_token.h"
#include "server/rpc/read_mask.h"

namespace distill::server {
namespace {

constexpr uint64_t kMostSeriesBytes = 16 << 20;

const TaskView* FindView(const std::vector<TaskView>& views, const std::string& task) {
  for (const TaskView& view : views) {
    if (view.task == task) return &view;
  }
  return nullptr;
}

}  // namespace

TaskService::TaskService(const RpcDependencies& dependencies)
    : dependencies_(dependencies),
      metrics_(*dependencies.clock, *dependencies.metrics, *dependencies.gate,
               dependencies.open_calls),
      log_streams_(dependencies.limits.max_downloads) {}

void TaskService::WithViews(const UnaryCallPtr& call, const JobId& job,
                            std::function<absl::Status(const std::vector<TaskView>&)> work) {
  IoExecutor* const queries = dependencies_.queries;
  dependencies_.driver->PostQuery(
      [queries, call, job, work = std::move(work)](const Core* core, MonotonicTime now) {
        auto views = std::make_shared<std::vector<TaskView>>();
        if (core != nullptr) *views = core->Tasks(job, now);
        RunOn(*queries, call, [views, work] { return work(*views); });
      });
}

absl::Status TaskService::ReadTask(const v1::GetTaskRequest& request,
                                   const std::vector<TaskView>& views, v1::Task& response) const {
  const JobId job(request.job());
  const TaskId task = storage::MakeTaskId(job, request.task());
  DISTILL_ASSIGN_OR_RETURN(const storage::JobRecord job_record, dependencies_.store->GetJob(job));
  DISTILL_ASSIGN_OR_RETURN(const storage::TaskRecord record, dependencies_.store->GetTask(task));
  DISTILL_ASSIGN_OR_RETURN(response, View(record, job_record.project,
                                          FindView(views, request.task()), request.read_mask()));
  return absl::OkStatus();
}

absl::StatusOr<v1::Task> TaskService::View(const storage::TaskRecord& record,
                                           const ProjectId& project, const TaskView* view,
                                           const google::protobuf::FieldMask& mask) const {
  std::vector<storage::AttemptRecord> attempts;
  if (WantsField(mask, "attempts")) {
    DISTILL_ASSIGN_OR_RETURN(attempts, dependencies_.store->ListAttempts(record.id));
  }
  v1::Task task = ToProto(record, project, attempts, view);
  ApplyReadMask(mask, task);
  return task;
}

grpc::ServerUnaryReactor* TaskService::GetTask(grpc::CallbackServerContext* context,
                                               const v1::GetTaskRequest* request,
                                               v1::Task* response) {
  return StartCall(context, "GetTask", metrics_, *request, [&](const UnaryCallPtr& call) {
    WithViews(call, JobId(request->job()),
              [this, request, response](const std::vector<TaskView>& views) {
                return ReadTask(*request, views, *response);
              });
  });
}

absl::Status TaskService::ReadPage(const v1::ListTasksRequest& request,
                                   const std::vector<TaskView>& views,
                                   v1::ListTasksResponse& response) const {
  const PageScope scope{"tasks", request.job()};
  DISTILL_ASSIGN_OR_RETURN(const int64_t after_index,
                           ReadNumericPageToken(scope, request.page_token(), /*first=*/-1));
  const JobId job(request.job());
  DISTILL_ASSIGN_OR_RETURN(const storage::JobRecord record, dependencies_.store->GetJob(job));
  const int limit = request.page_size() == 0 ? kMostPageSize : request.page_size();
  DISTILL_ASSIGN_OR_RETURN(
      const std::vector<storage::TaskRecord> tasks,
      dependencies_.store->ListTasks(job, static_cast<int32_t>(after_index), limit + 1));
  for (const storage::TaskRecord& task : tasks) {
    if (response.tasks_size() == limit) {
      response.set_next_page_token(MakePageToken(
          scope, absl::StrCat(tasks[static_cast<size_t>(limit) - 1].definition.index)));
      break;
    }
    DISTILL_ASSIGN_OR_RETURN(
        *response.add_tasks(),
        View(task, record.project, FindView(views, task.definition.name), request.read_mask()));
  }
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* TaskService::ListTasks(grpc::CallbackServerContext* context,
                                                 const v1::ListTasksRequest* request,
                                                 v1::ListTasksResponse* response) {
  return StartCall(context, "ListTasks", metrics_, *request, [&](const UnaryCallPtr& call) {
    WithViews(call, JobId(request->job()),
              [this, request, response](const std::vector<TaskView>& views) {
                return ReadPage(*request, views, *response);
              });
  });
}

grpc::ServerUnaryReactor* TaskService::ExplainTask(grpc::CallbackServerContext* context,
                                                   const v1::ExplainTaskRequest* request,
                                                   v1::TaskExplanation* response) {
  return StartCall(context, "ExplainTask", metrics_, *request, [&](const UnaryCallPtr& call) {
    dependencies_.driver->PostQuery([call, request, response](const Core* core, MonotonicTime now) {
      if (core == nullptr) {
        return call->Finish(absl::UnavailableError("the server is stopping; retry later"));
      }
      const JobId job(request->job());
      const absl::StatusOr<Explanation> explanation = core->Explain(job, request->task(), now);
      if (explanation.ok()) *response = ToProto(*explanation, job, request->task());
      call->Finish(explanation.status());
    });
  });
}

grpc::ServerWriteReactor<v1::ReadLogResponse>* TaskService::ReadLog(
    grpc::CallbackServerContext* context, const v1::ReadLogRequest* request) {
  if (request->follow()) {
    return StartLogFollowing(dependencies_, CallRecord(*context, "ReadLog", metrics_), *request,
                             log_streams_.Admit());
  }
  const storage::StateStore* const store = dependencies_.store;
  const TaskId task = storage::MakeTaskId(JobId(request->job()), request->task());
  const int32_t attempt = request->attempt();
  BlobStreamSource source;
  source.offset = request->offset();
  source.find = [store, task, attempt](const Caller&) -> absl::StatusOr<Digest> {
    DISTILL_ASSIGN_OR_RETURN(const storage::NamedBlob blob,
                             FindObservation(*store, task, attempt, "log"));
    return blob.digest;
  };
  return StartBlobStream<v1::ReadLogResponse>(dependencies_,
                                              CallRecord(*context, "ReadLog", metrics_), *request,
                                              std::move(source), log_streams_.Admit());
}

absl::Status TaskService::ReadSeriesBlob(const v1::ReadSeriesRequest& request,
                                         v1::ReadSeriesResponse& response) const {
  const TaskId task = storage::MakeTaskId(JobId(request.job()), request.task());
  const std::optional<v1::Series> live = LivePoints(task);
  response.set_running(live.has_value());
  const absl::StatusOr<storage::NamedBlob> blob =
      FindObservation(*dependencies_.store, task, /*attempt_number=*/0, "series");
  if (!blob.ok()) {
    if (!live.has_value() || !absl::IsNotFound(blob.status())) return blob.status();
    *response.mutable_series() = *live;
    return absl::OkStatus();
  }
  DISTILL_ASSIGN_OR_RETURN(const std::string bytes,
                           storage::ReadBlob(*dependencies_.blobs, blob->digest, kMostSeriesBytes));
  v1::Series uploaded;
  if (!uploaded.ParseFromString(bytes)) {
    return absl::DataLossError(
        absl::StrCat("cannot read series: the blob does not parse; digest=", blob->digest.str()));
  }
  for (const v1::Series::Point& point : uploaded.points()) {
    if (live.has_value() && point.step() >= live->points(0).step()) break;
    *response.mutable_series()->add_points() = point;
  }
  if (live.has_value()) response.mutable_series()->MergeFrom(*live);
  return absl::OkStatus();
}

std::optional<v1::Series> TaskService::LivePoints(const TaskId& task) const {
  const absl::StatusOr<std::vector<storage::AttemptRecord>> attempts =
      dependencies_.store->ListAttempts(task);
  if (!attempts.ok()) return std::nullopt;
  // Of a gang, the first rank has the curve.
  const auto newest = std::find_if(attempts->rbegin(), attempts->rend(),
                                   [](const auto& attempt) { return attempt.gang_rank == 0; });
  if (newest == attempts->rend() || newest->state != storage::AttemptState::kRunning) {
    return std::nullopt;
  }
  return dependencies_.live_series->Find(newest->lease_id);
}

grpc::ServerUnaryReactor* TaskService::ReadSeries(grpc::CallbackServerContext* context,
                                                  const v1::ReadSeriesRequest* request,
                                                  v1::ReadSeriesResponse* response) {
  return StartCall(context, "ReadSeries", metrics_, *request, [&](const UnaryCallPtr& call) {
    RunOn(*dependencies_.queries, call,
          [this, request, response] { return ReadSeriesBlob(*request, *response); });
  });
}

}  // namespace distill::server
