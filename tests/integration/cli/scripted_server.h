// A Distillery server over real gRPC that says what a test tells it to say, and breaks when it is
// told to break.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "distill/v1/artifact_service.grpc.pb.h"
#include "distill/v1/cache_service.grpc.pb.h"
#include "distill/v1/fleet_service.grpc.pb.h"
#include "distill/v1/job_service.grpc.pb.h"
#include "grpcpp/server.h"

namespace distill::client {

// What the server holds and how it behaves. Set by the test between calls.
struct Script {
  // The next unary calls end with these, one each.
  std::deque<grpc::Status> failures;
  // Of CreateJob, after it passed `failures`: the reply is lost this many times.
  int lost_replies = 0;
  // Of CreateJob: refuses every job when not OK.
  grpc::Status create_status;

  std::vector<v1::Job> jobs;
  // Events of any job that is watched, by revision.
  std::vector<v1::JobEvent> events;
  // Each watch breaks after so many events, until the list is used up.
  std::deque<int> watch_breaks;
  // Watches stay open until the caller leaves.
  bool watch_holds = false;

  std::vector<v1::Task> tasks;
  std::map<std::string, std::string> logs;
  std::map<std::string, v1::Series> series;
  v1::Report report;
  v1::JobPlan plan;
  v1::TaskExplanation task_explanation;
  std::vector<v1::Worker> workers;
  v1::Ledger ledger;
  v1::KeyExplanation explanation;
  v1::CacheStats cache_stats;
  std::map<std::string, v1::Artifact> artifacts;
  std::map<std::string, std::string> blobs;
  // Each transfer breaks after so many bytes, until the list is used up.
  std::deque<int64_t> transfer_breaks;
  // So often, where an upload stands is told before the bytes of a broken transfer count.
  int stale_queries = 0;
  int64_t page_size = 1000;
};

// Thread-safe.
class ScriptedServer {
 public:
  ScriptedServer();
  ~ScriptedServer();

  const std::string& address() const { return address_; }

  // Runs `change` while no call is being answered.
  template <typename Change>
  void Edit(const Change& change) {
    MutexLock lock(mu_);
    change(script_);
  }

  std::vector<v1::CreateJobRequest> created() const;
  std::vector<int64_t> watched_after() const;
  std::vector<std::string> cancelled() const;
  bool watching() const;
  // The last ExplainKey.
  v1::ExplainKeyRequest explained() const;

 private:
  class Jobs;
  class Tasks;
  class Artifacts;
  class Fleet;
  class Cache;

  // Takes the next scripted failure, OK when there is none.
  grpc::Status NextFailure() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  const v1::Job* FindJob(const std::string& id) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable Mutex mu_;
  CondVar tick_;
  Script script_ ABSL_GUARDED_BY(mu_);
  std::vector<v1::CreateJobRequest> created_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, v1::Job> by_request_ ABSL_GUARDED_BY(mu_);
  std::vector<int64_t> watched_after_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> cancelled_ ABSL_GUARDED_BY(mu_);
  v1::ExplainKeyRequest explained_ ABSL_GUARDED_BY(mu_);
  int open_watches_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<std::string, std::string> uploads_ ABSL_GUARDED_BY(mu_);

  std::string address_;
  std::unique_ptr<Jobs> jobs_;
  std::unique_ptr<Tasks> tasks_;
  std::unique_ptr<Artifacts> artifacts_;
  std::unique_ptr<Fleet> fleet_;
  std::unique_ptr<Cache> cache_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace distill::client
