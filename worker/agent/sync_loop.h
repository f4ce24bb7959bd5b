// Keeps this worker and the server in step: registers, renews leases, asks for work. Two threads,
// so that a long poll never delays a heartbeat; neither touches the disk or a trainer. A server
// that is away is asked again for ever, with growing, jittered waits; what runs goes on running.
#pragma once

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "base/random_ids.h"
#include "distill/v1/worker_service.pb.h"
#include "worker/agent/backoff.h"
#include "worker/agent/cancel_token.h"
#include "worker/agent/live_lease.h"
#include "worker/agent/log_forwarder.h"
#include "worker/agent/server_connection.h"
#include "worker/agent/worker_client.h"

namespace distill::worker {

// Where granted work goes. Called on the acquiring thread; must not block.
class WorkReceiver {
 public:
  virtual ~WorkReceiver() = default;
  virtual int FreeSlots() = 0;
  virtual std::vector<std::string> WarmJobs() = 0;
  virtual std::vector<std::string> CachedDigests() = 0;
  // Takes at most FreeSlots() lease sets, in one or several calls.
  virtual void Accept(const v1::LeaseSet& lease_set) = 0;
};

// Thread-safe.
class SyncLoop {
 public:
  struct Config {
    v1::WorkerInfo worker;
    std::string tls_certificate;  // Empty: none.
    // Of one long poll. At most 60 s.
    absl::Duration poll_wait = absl::Seconds(20);
    absl::Duration first_retry = absl::Milliseconds(200);
    absl::Duration longest_retry = absl::Seconds(5);
  };
  // All must outlive the loop.
  struct Dependencies {
    const Clock& clock;
    IdSource& ids;
    ServerConnection& connection;
    WorkerClient& client;
    LeaseTable& leases;
    WorkReceiver& receiver;
    LogForwarder& logs;
    Metrics& metrics;
  };

  SyncLoop(Config config, Dependencies dependencies);
  // Stops.
  ~SyncLoop();

  void Start();
  // Asks for no more work, for good; what a cut call may have been granted is still received.
  // Heartbeats go on. Blocks for at most about one call.
  void StopAcquiring() ABSL_LOCKS_EXCLUDED(mu_);
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

  // Tells that a slot has become free.
  void NotifySlotFree() ABSL_LOCKS_EXCLUDED(mu_);
  // Sends the next heartbeat without delay.
  void ReportSoon() ABSL_LOCKS_EXCLUDED(mu_);
  // OK once the server knows this worker and answers it.
  absl::Status Readiness() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void RunHeartbeats() ABSL_LOCKS_EXCLUDED(mu_);
  // Shows when the certificate expires; it may have been renewed.
  void NoteCertificate();
  absl::Status Register() ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Heartbeat() ABSL_LOCKS_EXCLUDED(mu_);
  void RunAcquire() ABSL_LOCKS_EXCLUDED(mu_);
  // One question, repeated with the same request id until the server answers. False: stop.
  bool AcquireOnce(Backoff& backoff) ABSL_LOCKS_EXCLUDED(mu_);
  // Builds the question and marks it as open. Nothing: stop.
  std::optional<v1::AcquireTasksRequest> NewQuestion() ABSL_LOCKS_EXCLUDED(mu_);
  // Lets a question be asked again after its call was cut. False: stop.
  bool ReopenPoll() ABSL_LOCKS_EXCLUDED(mu_);
  // Receives what a call that StopAcquiring() cut short may have been granted.
  void AcquireLeftovers(v1::AcquireTasksRequest request) ABSL_LOCKS_EXCLUDED(mu_);
  void Receive(const v1::AcquireTasksResponse& response) ABSL_LOCKS_EXCLUDED(mu_);
  // Returns whether `directives` contain DRAIN.
  bool Apply(const google::protobuf::RepeatedPtrField<v1::Directive>& directives)
      ABSL_LOCKS_EXCLUDED(mu_);
  void SetDraining(bool draining) ABSL_LOCKS_EXCLUDED(mu_);
  void ForgetRegistration() ABSL_LOCKS_EXCLUDED(mu_);
  // Waits until the worker is registered. False: stop acquiring.
  bool AwaitRegistration() ABSL_LOCKS_EXCLUDED(mu_);
  // Changes the route to the server after a call that did not reach it.
  void OnUnreachable(const absl::Status& status, int failures_in_a_row) ABSL_LOCKS_EXCLUDED(mu_);

  const Config config_;
  const Dependencies dependencies_;
  Gauge& registered_gauge_;
  Histogram& heartbeat_seconds_;
  CancelToken stop_;
  CancelToken stop_acquiring_;
  InterruptibleCall poll_;
  mutable Mutex mu_;
  CondVar changed_;
  bool registered_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_acquiring_ ABSL_GUARDED_BY(mu_) = false;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  bool report_soon_ ABSL_GUARDED_BY(mu_) = false;
  // Slots that the open long poll asked for; -1 when none is open.
  int polled_slots_ ABSL_GUARDED_BY(mu_) = -1;
  absl::Status last_contact_ ABSL_GUARDED_BY(mu_) = absl::UnavailableError("not registered yet");
  absl::Duration interval_ ABSL_GUARDED_BY(mu_) = absl::Seconds(1);
  std::thread heartbeat_thread_;
  std::thread acquire_thread_;
};

}  // namespace distill::worker
