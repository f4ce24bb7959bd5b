// Many workers that train nothing: over real gRPC they register, send heartbeats, take leases and
// at once return results of canned bytes. For the size and speed of a server, not for what it
// computes.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "distill/v1/artifact_service.grpc.pb.h"
#include "distill/v1/worker_service.grpc.pb.h"
#include "grpcpp/client_context.h"

namespace distill {

// Thread-safe. No thread waits for a worker: thousands of them cost a few.
class FleetSimulator {
 public:
  struct Config {
    std::string server;  // "host:port"
    int workers = 1;
    int connections = 0;  // Shared by the workers in turn. 0: one for each.
    int slots = 1;        // Of each; also the most lease sets that one call asks for.
    absl::Duration poll_wait = absl::Seconds(20);
    absl::Duration heartbeat_interval = absl::InfiniteDuration();
    std::string numeric_class = "cpu-x86-avx2";
  };

  explicit FleetSimulator(Config config);
  // Stops.
  ~FleetSimulator();

  void Start();
  // Breaks off all calls.
  void Stop();

  int64_t registered() const { return registered_; }
  int64_t completed() const { return completed_; }
  int64_t refused() const { return refused_; }
  int64_t failed_calls() const { return failed_calls_; }
  int64_t heartbeats() const { return heartbeats_; }
  // One for each lease that followed a completion after which its job had no other: the time from
  // sending that completion to having the lease. At least what the server took to lease a task
  // that became ready.
  std::vector<absl::Duration> release_latencies() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Worker {
    v1::WorkerInfo info;
    int connection = 0;
    int64_t calls = 0;   // That asked for work.
    bool beats = false;  // Its heartbeats have begun.
  };
  struct Connection {
    std::unique_ptr<v1::WorkerService::Stub> workers;
    std::unique_ptr<v1::ArtifactService::Stub> artifacts;
  };
  struct JobLeases {
    int open = 0;
    MonotonicTime released;  // When the completion of its only lease was sent.
    bool waiting = false;
  };

  void Register(Worker& worker);
  void Acquire(Worker& worker);
  void Complete(Worker& worker, const v1::AcquireTasksResponse& granted);
  void Beat(Worker& worker);
  // Calls `action` from the timer's thread after `delay`.
  void After(absl::Duration delay, std::function<void()> action) ABSL_LOCKS_EXCLUDED(mu_);
  void RunTimer() ABSL_LOCKS_EXCLUDED(mu_);

  // Begins a call and lets `then` have its outcome, unless the fleet stops.
  template <typename Request, typename Response>
  void Call(Request request, absl::Duration timeout,
            void (v1::WorkerService::Stub::async::*method)(grpc::ClientContext*, const Request*,
                                                           Response*,
                                                           std::function<void(grpc::Status)>),
            Worker& worker, std::function<void(const absl::Status&, const Response&)> then)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Makes the server have `bytes`; blocks. Returns their digest.
  absl::StatusOr<std::string> Upload(const std::string& bytes, const Worker& worker)
      ABSL_LOCKS_EXCLUDED(mu_);
  void NoteGranted(const std::string& job) ABSL_LOCKS_EXCLUDED(mu_);
  void NoteCompletion(const std::string& job) ABSL_LOCKS_EXCLUDED(mu_);

  const Config config_;
  const SystemClock clock_;
  std::vector<Connection> connections_;
  std::vector<Worker> workers_;  // Each used by one call at a time, heartbeats aside.
  std::atomic<int64_t> registered_{0};
  std::atomic<int64_t> completed_{0};
  std::atomic<int64_t> refused_{0};
  std::atomic<int64_t> failed_calls_{0};
  std::atomic<int64_t> heartbeats_{0};
  mutable Mutex mu_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::set<grpc::ClientContext*> open_ ABSL_GUARDED_BY(mu_);
  int64_t in_flight_ ABSL_GUARDED_BY(mu_) = 0;  // Calls whose outcome is not dealt with yet.
  std::multimap<MonotonicTime, std::function<void()>> timers_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::string> uploaded_ ABSL_GUARDED_BY(mu_);  // Digests, by bytes.
  std::map<std::string, JobLeases> jobs_ ABSL_GUARDED_BY(mu_);
  std::vector<absl::Duration> release_latencies_ ABSL_GUARDED_BY(mu_);
  std::thread timer_;
};

}  // namespace distill
