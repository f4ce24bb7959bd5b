// Sends logs of running attempts to the server while somebody follows them, and nothing otherwise.
// What to send from where is said by each heartbeat's answer and by the answer to each piece, so
// nothing is remembered that a restart of either side could spoil. A thread of its own: neither
// training nor heartbeats ever wait for it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "distill/v1/worker_service.pb.h"
#include "worker/agent/live_lease.h"
#include "worker/agent/worker_client.h"

namespace distill::worker {

// Thread-safe.
class LogForwarder {
 public:
  struct Config {
    std::string worker_id;
    // How soon after a line it is sent.
    absl::Duration interval = absl::Milliseconds(250);
  };

  // Both must outlive this.
  LogForwarder(Config config, WorkerClient& client, const LeaseTable& leases);
  // Stops.
  ~LogForwarder();

  void Start();
  // Idempotent.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

  // Takes what the last heartbeat's answer said: these logs, and no others.
  void SetWishes(const google::protobuf::RepeatedPtrField<v1::LogWish>& wishes)
      ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  // Sends the next piece of each log. Returns whether one of them had more than a piece.
  bool SendPieces() ABSL_LOCKS_EXCLUDED(mu_);
  // Updates where a log goes on; a log that is not wanted any more is dropped.
  void Advance(const std::string& lease_id, const v1::SendLogResponse& answer)
      ABSL_LOCKS_EXCLUDED(mu_);
  void Forget(const std::string& lease_id) ABSL_LOCKS_EXCLUDED(mu_);

  const Config config_;
  WorkerClient* const client_;
  const LeaseTable* const leases_;
  Mutex mu_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::map<std::string, int64_t> wanted_ ABSL_GUARDED_BY(mu_);  // Lease id to offset.
  std::thread thread_;
};

}  // namespace distill::worker
