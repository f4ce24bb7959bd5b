// WorkerService as plain blocking calls, each with a deadline.
#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "distill/v1/worker_service.pb.h"
#include "grpcpp/client_context.h"
#include "worker/agent/server_connection.h"

namespace distill::worker {

// Lets one thread end the call that another waits in, or is about to make. Thread-safe; one call at
// a time.
class InterruptibleCall {
 public:
  // Forgets earlier interruptions.
  void Reset() ABSL_LOCKS_EXCLUDED(mu_);
  // The context must live until End().
  void Begin(grpc::ClientContext& context) ABSL_LOCKS_EXCLUDED(mu_);
  void End() ABSL_LOCKS_EXCLUDED(mu_);
  // Ends the call that runs, or else every later one until Reset().
  void Interrupt() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  Mutex mu_;
  bool interrupted_ ABSL_GUARDED_BY(mu_) = false;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mu_) = nullptr;
};

// Thread-safe. Errors are the server's; kUnavailable or kDeadlineExceeded when it cannot be
// reached.
class WorkerClient {
 public:
  struct Config {
    absl::Duration deadline = absl::Seconds(10);
    absl::Duration heartbeat_deadline = absl::Seconds(5);
  };

  // `connection` must outlive this.
  WorkerClient(Config config, ServerConnection& connection)
      : config_(config), connection_(&connection) {}

  absl::StatusOr<v1::RegisterWorkerResponse> Register(const v1::RegisterWorkerRequest& request);
  // Blocks for up to request.wait_seconds; `call` can end it early, with kCancelled.
  absl::StatusOr<v1::AcquireTasksResponse> Acquire(const v1::AcquireTasksRequest& request,
                                                   InterruptibleCall& call);
  absl::StatusOr<v1::HeartbeatResponse> Heartbeat(const v1::HeartbeatRequest& request);
  // Over the connection for bulk, so that no heartbeat waits behind it.
  absl::StatusOr<v1::SendLogResponse> SendLog(const v1::SendLogRequest& request);
  // The next three: kInternal when the answer does not have one status for each item.
  absl::StatusOr<v1::CompleteAttemptsResponse> Complete(const v1::CompleteAttemptsRequest& request);
  absl::StatusOr<v1::FailAttemptsResponse> Fail(const v1::FailAttemptsRequest& request);
  absl::StatusOr<v1::ReleaseLeasesResponse> Release(const v1::ReleaseLeasesRequest& request);

 private:
  const Config config_;
  ServerConnection* const connection_;
};

}  // namespace distill::worker
