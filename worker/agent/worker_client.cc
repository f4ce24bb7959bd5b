#include "worker/agent/worker_client.h"

#include <chrono>
#include <memory>

#include "base/status_macros.h"
#include "distill/v1/worker_service.grpc.pb.h"
#include "proto/status/grpc_status.h"

namespace distill::worker {
namespace {

void SetDeadline(grpc::ClientContext& context, absl::Duration timeout) {
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout));
}

std::unique_ptr<v1::WorkerService::Stub> StubOf(const ServerConnection& connection) {
  return v1::WorkerService::NewStub(connection.control());
}

template <typename Request, typename Response>
absl::Status CheckItemCount(const Request& request, const Response& response) {
  if (request.items_size() == response.statuses_size()) return absl::OkStatus();
  return absl::InternalError("server answered with a wrong number of item statuses");
}

}  // namespace

void InterruptibleCall::Reset() {
  MutexLock lock(mu_);
  interrupted_ = false;
}

void InterruptibleCall::Begin(grpc::ClientContext& context) {
  MutexLock lock(mu_);
  context_ = &context;
  if (interrupted_) context_->TryCancel();
}

void InterruptibleCall::End() {
  MutexLock lock(mu_);
  context_ = nullptr;
}

void InterruptibleCall::Interrupt() {
  MutexLock lock(mu_);
  interrupted_ = true;
  if (context_ != nullptr) context_->TryCancel();
}

absl::StatusOr<v1::RegisterWorkerResponse> WorkerClient::Register(
    const v1::RegisterWorkerRequest& request) {
  grpc::ClientContext context;
  SetDeadline(context, config_.deadline);
  v1::RegisterWorkerResponse response;
  DISTILL_RETURN_IF_ERROR(
      FromGrpcStatus(StubOf(*connection_)->RegisterWorker(&context, request, &response)));
  return response;
}

absl::StatusOr<v1::AcquireTasksResponse> WorkerClient::Acquire(
    const v1::AcquireTasksRequest& request, InterruptibleCall& call) {
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(request.wait_seconds()) + config_.deadline);
  v1::AcquireTasksResponse response;
  call.Begin(context);
  const grpc::Status status = StubOf(*connection_)->AcquireTasks(&context, request, &response);
  call.End();
  DISTILL_RETURN_IF_ERROR(FromGrpcStatus(status));
  return response;
}

absl::StatusOr<v1::HeartbeatResponse> WorkerClient::Heartbeat(const v1::HeartbeatRequest& request) {
  grpc::ClientContext context;
  SetDeadline(context, config_.heartbeat_deadline);
  v1::HeartbeatResponse response;
  DISTILL_RETURN_IF_ERROR(
      FromGrpcStatus(StubOf(*connection_)->Heartbeat(&context, request, &response)));
  return response;
}

absl::StatusOr<v1::SendLogResponse> WorkerClient::SendLog(const v1::SendLogRequest& request) {
  grpc::ClientContext context;
  SetDeadline(context, config_.deadline);
  v1::SendLogResponse response;
  DISTILL_RETURN_IF_ERROR(FromGrpcStatus(
      v1::WorkerService::NewStub(connection_->bulk())->SendLog(&context, request, &response)));
  return response;
}

absl::StatusOr<v1::CompleteAttemptsResponse> WorkerClient::Complete(
    const v1::CompleteAttemptsRequest& request) {
  grpc::ClientContext context;
  SetDeadline(context, config_.deadline);
  v1::CompleteAttemptsResponse response;
  DISTILL_RETURN_IF_ERROR(
      FromGrpcStatus(StubOf(*connection_)->CompleteAttempts(&context, request, &response)));
  DISTILL_RETURN_IF_ERROR(CheckItemCount(request, response));
  return response;
}

absl::StatusOr<v1::FailAttemptsResponse> WorkerClient::Fail(
    const v1::FailAttemptsRequest& request) {
  grpc::ClientContext context;
  SetDeadline(context, config_.deadline);
  v1::FailAttemptsResponse response;
  DISTILL_RETURN_IF_ERROR(
      FromGrpcStatus(StubOf(*connection_)->FailAttempts(&context, request, &response)));
  DISTILL_RETURN_IF_ERROR(CheckItemCount(request, response));
  return response;
}

absl::StatusOr<v1::ReleaseLeasesResponse> WorkerClient::Release(
    const v1::ReleaseLeasesRequest& request) {
  grpc::ClientContext context;
  SetDeadline(context, config_.deadline);
  v1::ReleaseLeasesResponse response;
  DISTILL_RETURN_IF_ERROR(
      FromGrpcStatus(StubOf(*connection_)->ReleaseLeases(&context, request, &response)));
  DISTILL_RETURN_IF_ERROR(CheckItemCount(request, response));
  return response;
}

}  // namespace distill::worker
