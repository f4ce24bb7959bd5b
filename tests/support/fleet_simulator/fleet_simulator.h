// Many workers that train nothing: over real gRPC they register, take leases and at once return
// results of canned bytes. For the size and speed of a server, not for what it computes.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "distill/v1/worker_service.pb.h"
#include "grpcpp/channel.h"
#include "worker/agent/cancel_token.h"

namespace distill {

// Thread-safe.
class FleetSimulator {
 public:
  struct Config {
    std::string server;  // "host:port"
    int workers = 1;
    int slots = 1;  // Of each.
    absl::Duration poll_wait = absl::Seconds(2);
    std::string numeric_class = "cpu-x86-avx2";
    // Results differ from task to task, as real ones do; otherwise there is one blob per output
    // name.
    bool distinct_results = false;
  };

  explicit FleetSimulator(Config config);
  // Stops.
  ~FleetSimulator();

  // One thread for each worker.
  void Start();
  void Stop();

  int64_t completed() const { return completed_; }
  int64_t refused() const { return refused_; }
  int64_t failed_calls() const { return failed_calls_; }

 private:
  void RunWorker(int index);
  absl::Status Register(const v1::WorkerInfo& info, const std::shared_ptr<grpc::Channel>& channel);
  // Asks for work once and does it.
  absl::Status Serve(const v1::WorkerInfo& info, const std::string& request_id,
                     const std::shared_ptr<grpc::Channel>& channel);
  absl::Status Complete(const v1::WorkerInfo& info, const v1::AcquireTasksResponse& granted,
                        const std::shared_ptr<grpc::Channel>& channel);
  // Makes the server have `bytes`. Returns its digest.
  absl::StatusOr<std::string> Upload(const std::string& bytes, const std::string& upload_id,
                                     const std::shared_ptr<grpc::Channel>& channel)
      ABSL_LOCKS_EXCLUDED(mu_);

  const Config config_;
  worker::CancelToken stop_;
  std::atomic<int64_t> completed_{0};
  std::atomic<int64_t> refused_{0};
  std::atomic<int64_t> failed_calls_{0};
  Mutex mu_;
  std::set<std::string> uploaded_ ABSL_GUARDED_BY(mu_);
  std::vector<std::thread> threads_;
};

}  // namespace distill
