// A real server in this process, on a port of the system's choice, with a database and a blob store
// in a temporary directory, and a client's view of it.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random_ids.h"
#include "distill/v1/artifact_service.grpc.pb.h"
#include "distill/v1/fleet_service.grpc.pb.h"
#include "distill/v1/job_service.grpc.pb.h"
#include "distill/v1/worker_service.grpc.pb.h"
#include "gtest/gtest.h"
#include "proto/status/grpc_status.h"
#include "server/app/server_app.h"
#include "tests/support/temp_dir.h"

namespace distill::server {

class ServerTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // A stopped server may be started again: on the same data directory and another port.
  void StartServer();
  void StopServer();

  ServerConfig Config() const;
  std::string DatasetDir() const;
  // A valid job of two modules on the small data set.
  v1::JobSpec SmallSpec() const;

  absl::StatusOr<v1::Job> Create(const v1::JobSpec& spec, const std::string& request_id);
  absl::StatusOr<v1::Job> GetJob(const std::string& job);
  std::vector<v1::Job> ListJobs();
  // All events above `after_revision`, until the job is terminal.
  std::vector<v1::JobEvent> WatchToEnd(const std::string& job, int64_t after_revision);
  // Uploads in chunks of `chunk_bytes`, all in one stream.
  absl::Status Upload(const std::string& upload_id, const std::string& bytes, v1::ArtifactType type,
                      size_t chunk_bytes = 1 << 20);
  absl::StatusOr<std::string> Download(const std::string& digest);

  // Take effect at the next start.
  int64_t min_free_disk_bytes_ = 0;
  double scrub_interval_hours_ = 24;

  TempDir temp_dir_;
  SystemClock clock_;
  SystemIdSource ids_;
  std::unique_ptr<ServerApp> server_;
  std::unique_ptr<v1::JobService::Stub> jobs_;
  std::unique_ptr<v1::TaskService::Stub> tasks_;
  std::unique_ptr<v1::FleetService::Stub> fleet_;
  std::unique_ptr<v1::WorkerService::Stub> workers_;
  std::unique_ptr<v1::ArtifactService::Stub> artifacts_;
  std::shared_ptr<grpc::Channel> channel_;
};

// A worker that answers every task at once with canned bytes. One thread.
class ScriptedWorker {
 public:
  ScriptedWorker(v1::WorkerService::Stub& workers, v1::ArtifactService::Stub& artifacts,
                 std::string worker_id)
      : workers_(&workers), artifacts_(&artifacts), worker_id_(std::move(worker_id)) {}

  void Register(const std::vector<v1::LeaseRef>& leases = {});
  // Long-polls once.
  v1::AcquireTasksResponse Acquire(int max_lease_sets, double wait_seconds);
  // Uploads canned results of the grant and completes it.
  v1::ItemStatus Complete(const v1::Grant& grant);
  // Uploads canned results, for a caller that completes later.
  v1::CompleteAttemptsRequest::Item MakeItem(const v1::Grant& grant);
  v1::ItemStatus CompleteItem(const v1::CompleteAttemptsRequest::Item& item);
  // Works until `count` attempts were completed.
  void CompleteTasks(int count);
  v1::HeartbeatResponse Heartbeat(const std::vector<v1::LeaseRef>& leases);
  v1::ItemStatus Release(const v1::LeaseRef& lease);

 private:
  v1::ArtifactRef Put(const std::string& name, const std::string& bytes, v1::ArtifactType type);

  v1::WorkerService::Stub* const workers_;
  v1::ArtifactService::Stub* const artifacts_;
  const std::string worker_id_;
  int next_request_ = 1;
};

// A context with a deadline that a healthy server never comes near.
std::unique_ptr<grpc::ClientContext> MakeContext();

}  // namespace distill::server
