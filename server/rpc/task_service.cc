#include "server/rpc/task_service.h"

#include <functional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "server/rpc/blob_stream.h"
#include "server/rpc/convert.h"

namespace distill::server {
namespace {

constexpr uint64_t kMostSeriesBytes = 16 << 20;

const TaskView* FindView(const std::vector<TaskView>& views, const std::string& task) {
  for (const TaskView& view : views) {
    if (view.task == task) return &view;
  }
  return nullptr;
}

const storage::NamedBlob* FindBlob(const std::vector<storage::NamedBlob>& blobs,
                                   absl::string_view name) {
  for (const storage::NamedBlob& blob : blobs) {
    if (blob.name == name) return &blob;
  }
  return nullptr;
}

// Returns the observation of one attempt (0: of the newest that has it).
absl::StatusOr<storage::NamedBlob> FindObservation(const storage::StateStore& store,
                                                   const TaskId& task, int32_t attempt_number,
                                                   absl::string_view name) {
  DISTILL_ASSIGN_OR_RETURN(const storage::TaskRecord record, store.GetTask(task));
  DISTILL_ASSIGN_OR_RETURN(const std::vector<storage::AttemptRecord> attempts,
                           store.ListAttempts(task));
  for (auto attempt = attempts.rbegin(); attempt != attempts.rend(); ++attempt) {
    if (attempt_number != 0 && attempt->number != attempt_number) continue;
    const storage::NamedBlob* blob = FindBlob(attempt->observations, name);
    if (blob != nullptr) return *blob;
    if (attempt_number != 0) break;
  }
  const storage::NamedBlob* blob = FindBlob(record.status.observations, name);
  if (attempt_number == 0 && blob != nullptr) return *blob;
  return absl::NotFoundError(absl::StrCat("cannot read ", name,
                                          ": no attempt has uploaded one yet; task=", task.str(),
                                          " attempt=", attempt_number));
}

}  // namespace

TaskService::TaskService(const RpcDependencies& dependencies)
    : dependencies_(dependencies),
      metrics_(*dependencies.clock, *dependencies.metrics),
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
  DISTILL_ASSIGN_OR_RETURN(const std::vector<storage::AttemptRecord> attempts,
                           dependencies_.store->ListAttempts(task));
  response = ToProto(record, job_record.project, attempts, FindView(views, request.task()));
  return absl::OkStatus();
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
  int32_t after_index = -1;
  if (!request.page_token().empty() &&
      (!absl::SimpleAtoi(request.page_token(), &after_index) || after_index < 0)) {
    return absl::InvalidArgumentError(
        "cannot list tasks: page_token: got an unknown token, want the next_page_token of an "
        "earlier answer");
  }
  const JobId job(request.job());
  DISTILL_ASSIGN_OR_RETURN(const storage::JobRecord record, dependencies_.store->GetJob(job));
  const int limit = request.page_size() == 0 ? kMostPageSize : request.page_size();
  DISTILL_ASSIGN_OR_RETURN(const std::vector<storage::TaskRecord> tasks,
                           dependencies_.store->ListTasks(job, after_index, limit + 1));
  for (const storage::TaskRecord& task : tasks) {
    if (response.tasks_size() == limit) {
      response.set_next_page_token(
          absl::StrCat(tasks[static_cast<size_t>(limit) - 1].definition.index));
      break;
    }
    DISTILL_ASSIGN_OR_RETURN(const std::vector<storage::AttemptRecord> attempts,
                             dependencies_.store->ListAttempts(task.id));
    *response.add_tasks() =
        ToProto(task, record.project, attempts, FindView(views, task.definition.name));
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
    grpc::CallbackServerContext*, const v1::ReadLogRequest* request) {
  const absl::Status valid = ValidateRequest(*request);
  const storage::StateStore* const store = dependencies_.store;
  const TaskId task = storage::MakeTaskId(JobId(request->job()), request->task());
  const int32_t attempt = request->attempt();
  BlobStreamSource source;
  source.offset = request->offset();
  source.find = [valid, store, task, attempt]() -> absl::StatusOr<Digest> {
    DISTILL_RETURN_IF_ERROR(valid);
    DISTILL_ASSIGN_OR_RETURN(const storage::NamedBlob blob,
                             FindObservation(*store, task, attempt, "log"));
    return blob.digest;
  };
  return StartBlobStream<v1::ReadLogResponse>(dependencies_, metrics_, "ReadLog", std::move(source),
                                              log_streams_.Admit());
}

absl::Status TaskService::ReadSeriesBlob(const v1::ReadSeriesRequest& request,
                                         v1::ReadSeriesResponse& response) const {
  const TaskId task = storage::MakeTaskId(JobId(request.job()), request.task());
  DISTILL_ASSIGN_OR_RETURN(
      const storage::NamedBlob blob,
      FindObservation(*dependencies_.store, task, /*attempt_number=*/0, "series"));
  DISTILL_ASSIGN_OR_RETURN(const std::string bytes,
                           storage::ReadBlob(*dependencies_.blobs, blob.digest, kMostSeriesBytes));
  if (!response.mutable_series()->ParseFromString(bytes)) {
    return absl::DataLossError(
        absl::StrCat("cannot read series: the blob does not parse; digest=", blob.digest.str()));
  }
  return absl::OkStatus();
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
