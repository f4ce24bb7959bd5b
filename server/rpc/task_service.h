// The calls about tasks: their state, logs and training series.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "distill/v1/job_service.grpc.pb.h"
#include "server/rpc/call.h"
#include "server/rpc/rpc_dependencies.h"

namespace distill::server {

// Thread-safe.
class TaskService : public v1::TaskService::CallbackService {
 public:
  explicit TaskService(const RpcDependencies& dependencies);

  grpc::ServerUnaryReactor* GetTask(grpc::CallbackServerContext* context,
                                    const v1::GetTaskRequest* request, v1::Task* response) override;
  grpc::ServerUnaryReactor* ListTasks(grpc::CallbackServerContext* context,
                                      const v1::ListTasksRequest* request,
                                      v1::ListTasksResponse* response) override;
  grpc::ServerUnaryReactor* ExplainTask(grpc::CallbackServerContext* context,
                                        const v1::ExplainTaskRequest* request,
                                        v1::TaskExplanation* response) override;
  grpc::ServerWriteReactor<v1::ReadLogResponse>* ReadLog(
      grpc::CallbackServerContext* context, const v1::ReadLogRequest* request) override;
  grpc::ServerUnaryReactor* ReadSeries(grpc::CallbackServerContext* context,
                                       const v1::ReadSeriesRequest* request,
                                       v1::ReadSeriesResponse* response) override;

 private:
  using TaskViews = std::shared_ptr<std::vector<TaskView>>;

  // Runs `work` on an I/O thread with the volatile facts of the job's tasks, and finishes the call
  // with what it returns.
  void WithViews(const UnaryCallPtr& call, const JobId& job,
                 std::function<absl::Status(const std::vector<TaskView>&)> work);
  absl::Status ReadTask(const v1::GetTaskRequest& request, const std::vector<TaskView>& views,
                        v1::Task& response) const;
  // The fields of the task that the mask asks for. `view` may be null.
  absl::StatusOr<v1::Task> View(const storage::TaskRecord& record, const ProjectId& project,
                                const TaskView* view,
                                const google::protobuf::FieldMask& mask) const;
  absl::Status ReadPage(const v1::ListTasksRequest& request, const std::vector<TaskView>& views,
                        v1::ListTasksResponse& response) const;
  // What the running attempt of the task has told so far; nothing without one.
  std::optional<v1::Series> LivePoints(const TaskId& task) const;
  absl::Status ReadSeriesBlob(const v1::ReadSeriesRequest& request,
                              v1::ReadSeriesResponse& response) const;

  const RpcDependencies dependencies_;
  const CallMetrics metrics_;
  StreamLimit log_streams_;
};

}  // namespace distill::server
