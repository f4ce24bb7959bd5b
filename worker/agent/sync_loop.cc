#include "worker/agent/sync_loop.h"

#include <pthread.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/log.h"
#include "base/status_macros.h"
#include "base/tls_files.h"
#include "worker/agent/transient_error.h"

namespace distill::worker {
namespace {

constexpr size_t kMaxCachedDigests = 1000;
constexpr absl::Duration kShortestInterval = absl::Milliseconds(50);
constexpr absl::Duration kLongestInterval = absl::Minutes(1);
// A server that is there but slow answers some calls; this many unanswered in a row mean that the
// connection leads nowhere.
constexpr int kUnansweredBeforeReconnect = 2;

// Differs from worker to worker, so that their waits do.
uint64_t BackoffSeed(const std::string& worker_id, uint64_t thread) {
  return static_cast<uint64_t>(std::hash<std::string>()(worker_id)) + thread;
}

}  // namespace

SyncLoop::SyncLoop(Config config, Dependencies dependencies)
    : config_(std::move(config)),
      dependencies_(std::move(dependencies)),
      registered_gauge_(dependencies_.metrics.AddGauge(
          "distill_worker_registered", "1 while the server knows and answers this worker.")),
      heartbeat_seconds_(dependencies_.metrics.AddHistogram(
          "distill_worker_heartbeat_rtt_seconds", "Round trip of a heartbeat.", LatencyBounds())) {}

SyncLoop::~SyncLoop() { Stop(); }

void SyncLoop::Start() {
  heartbeat_thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "heartbeat");
    RunHeartbeats();
  });
  acquire_thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "acquire");
    RunAcquire();
  });
}

void SyncLoop::StopAcquiring() {
  {
    MutexLock lock(mu_);
    stopping_acquiring_ = true;
    poll_.Interrupt();
    changed_.NotifyAll();
  }
  stop_acquiring_.Cancel();
  if (acquire_thread_.joinable()) acquire_thread_.join();
}

void SyncLoop::Stop() {
  {
    MutexLock lock(mu_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  stop_.Cancel();
  StopAcquiring();
  if (heartbeat_thread_.joinable()) heartbeat_thread_.join();
}

void SyncLoop::NotifySlotFree() {
  MutexLock lock(mu_);
  // A poll that asks for work returns as soon as there is any; only one that asks for directives
  // alone would miss it. It can be cut without loss.
  if (polled_slots_ == 0) poll_.Interrupt();
}

void SyncLoop::ReportSoon() {
  MutexLock lock(mu_);
  report_soon_ = true;
  changed_.NotifyAll();
}

absl::Status SyncLoop::Readiness() const {
  MutexLock lock(mu_);
  return last_contact_;
}

void SyncLoop::RunHeartbeats() {
  Backoff backoff({config_.first_retry, config_.longest_retry},
                  BackoffSeed(config_.worker.worker_id(), 1));
  int failures_in_a_row = 0;
  while (!stop_.cancelled()) {
    bool registered = false;
    {
      MutexLock lock(mu_);
      registered = registered_;
      report_soon_ = false;
    }
    const absl::Status status = registered ? Heartbeat() : Register();
    absl::Duration wait = absl::ZeroDuration();
    {
      MutexLock lock(mu_);
      last_contact_ = status;
      wait = interval_;
    }
    registered_gauge_.Set(status.ok() ? 1 : 0);
    NoteCertificate();
    if (status.ok()) {
      if (failures_in_a_row > 0) {
        LogInfo("server answers again", {{"server", dependencies_.connection.address()}});
      }
      failures_in_a_row = 0;
      backoff.Reset();
    } else {
      if (failures_in_a_row++ == 0) {
        const bool refused = absl::IsPermissionDenied(status) || absl::IsUnauthenticated(status);
        LogWarning(refused ? "server refuses this worker" : "server does not answer",
                   {{"error", status}});
      }
      OnUnreachable(status, failures_in_a_row);
      wait = RetryDelay(status, backoff.Next());
    }
    const MonotonicTime until = dependencies_.clock.Now() + wait;
    MutexLock lock(mu_);
    // Wakes early when the registration has been forgotten, or there is something to tell a server
    // that answers.
    while (!stopping_ && !(registered && !registered_) && !(status.ok() && report_soon_) &&
           dependencies_.clock.Now() < until) {
      changed_.WaitFor(mu_, until - dependencies_.clock.Now());
    }
  }
}

void SyncLoop::NoteCertificate() {
  if (config_.tls_certificate.empty()) return;
  const absl::StatusOr<absl::Time> expiry = CertificateExpiry(config_.tls_certificate);
  dependencies_.metrics
      .AddGauge("distill_worker_tls_certificate_expiry_timestamp_seconds",
                "When this worker's certificate expires; 0 when it cannot be read.")
      .Set(expiry.ok() ? absl::ToDoubleSeconds(*expiry - absl::UnixEpoch()) : 0.0);
}

absl::Status SyncLoop::Register() {
  v1::RegisterWorkerRequest request;
  *request.mutable_worker() = config_.worker;
  for (const auto& lease : dependencies_.leases.All()) *request.add_leases() = lease->ref();
  DISTILL_ASSIGN_OR_RETURN(const v1::RegisterWorkerResponse response,
                           dependencies_.client.Register(request));
  LogInfo("registered", {{"worker", config_.worker.worker_id()},
                         {"server", dependencies_.connection.address()},
                         {"leases", request.leases_size()}});
  SetDraining(Apply(response.directives()));
  MutexLock lock(mu_);
  registered_ = true;
  interval_ = std::clamp(absl::Seconds(response.heartbeat_interval_seconds()), kShortestInterval,
                         kLongestInterval);
  changed_.NotifyAll();
  return absl::OkStatus();
}

absl::Status SyncLoop::Heartbeat() {
  v1::HeartbeatRequest request;
  request.set_worker_id(config_.worker.worker_id());
  const std::vector<std::shared_ptr<LiveLease>> leases = dependencies_.leases.All();
  for (const auto& lease : leases) *request.add_leases() = lease->Report();
  const MonotonicTime start = dependencies_.clock.Now();
  const absl::StatusOr<v1::HeartbeatResponse> response = dependencies_.client.Heartbeat(request);
  if (absl::IsNotFound(response.status())) ForgetRegistration();
  DISTILL_RETURN_IF_ERROR(response.status());
  heartbeat_seconds_.Observe(absl::ToDoubleSeconds(dependencies_.clock.Now() - start));
  SetDraining(Apply(response->directives()));
  dependencies_.logs.SetWishes(response->wanted_logs());
  for (const auto& lease : leases) {
    const auto known = response->points_known().find(lease->id());
    lease->SetPointsKnown(known == response->points_known().end()
                              ? std::nullopt
                              : std::optional<int32_t>(known->second));
  }
  if (response->next_heartbeat_seconds() > 0) {
    MutexLock lock(mu_);
    interval_ = std::clamp(absl::Seconds(response->next_heartbeat_seconds()), kShortestInterval,
                           kLongestInterval);
  }
  return absl::OkStatus();
}

void SyncLoop::OnUnreachable(const absl::Status& status, int failures_in_a_row) {
  ServerConnection& connection = dependencies_.connection;
  if (absl::IsUnavailable(status)) {
    connection.TryNextAddress();
  } else if (absl::IsDeadlineExceeded(status) &&
             (connection.has_several_addresses() ||
              failures_in_a_row % kUnansweredBeforeReconnect == 0)) {
    connection.Reconnect();
  } else {
    return;
  }
  if (!connection.has_several_addresses()) return;
  // The open poll may wait for long at a server that no longer leads; the next one is asked anew.
  MutexLock lock(mu_);
  poll_.Interrupt();
}

void SyncLoop::RunAcquire() {
  Backoff backoff({config_.first_retry, config_.longest_retry},
                  BackoffSeed(config_.worker.worker_id(), 2));
  while (AwaitRegistration() && AcquireOnce(backoff)) {
  }
}

bool SyncLoop::AwaitRegistration() {
  MutexLock lock(mu_);
  while (!registered_ && !stopping_acquiring_) changed_.Wait(mu_);
  return !stopping_acquiring_;
}

std::optional<v1::AcquireTasksRequest> SyncLoop::NewQuestion() {
  v1::AcquireTasksRequest request;
  request.set_worker_id(config_.worker.worker_id());
  request.set_request_id(dependencies_.ids.RandomHex(16));
  request.set_wait_seconds(absl::ToDoubleSeconds(config_.poll_wait));
  for (const std::string& job : dependencies_.receiver.WarmJobs()) request.add_warm_jobs(job);
  for (const std::string& digest : dependencies_.receiver.CachedDigests()) {
    if (request.cached_digests_size() < static_cast<int>(kMaxCachedDigests)) {
      request.add_cached_digests(digest);
    }
  }
  // Under the lock, so that a slot that becomes free is either counted or interrupts the poll.
  MutexLock lock(mu_);
  if (stopping_acquiring_) return std::nullopt;
  poll_.Reset();
  polled_slots_ = draining_ ? 0 : dependencies_.receiver.FreeSlots();
  request.set_max_lease_sets(polled_slots_);
  return request;
}

bool SyncLoop::AcquireOnce(Backoff& backoff) {
  const std::optional<v1::AcquireTasksRequest> question = NewQuestion();
  if (!question.has_value()) return false;
  const bool asks_for_work = question->max_lease_sets() > 0;
  for (;;) {
    const absl::StatusOr<v1::AcquireTasksResponse> response =
        dependencies_.client.Acquire(*question, poll_);
    if (response.ok()) {
      backoff.Reset();
      Receive(*response);
      return true;
    }
    if (stop_acquiring_.cancelled()) {
      if (asks_for_work) AcquireLeftovers(*question);
      return false;
    }
    if (absl::IsNotFound(response.status())) {
      ForgetRegistration();
      return true;
    }
    if (absl::IsCancelled(response.status()) && !asks_for_work) return true;
    if (absl::IsCancelled(response.status()) && !ReopenPoll()) continue;
    const absl::Duration wait = RetryDelay(response.status(), backoff.Next());
    if (stop_acquiring_.WaitFor(wait)) continue;  // For what may be left over.
    // The answer may have been lost on its way: the same question brings the same grants.
    if (asks_for_work && (IsTransient(response.status()) || absl::IsCancelled(response.status()))) {
      continue;
    }
    LogDebug("asking for work failed", {{"error", response.status()}});
    return true;
  }
}

bool SyncLoop::ReopenPoll() {
  MutexLock lock(mu_);
  if (stopping_acquiring_) return false;
  poll_.Reset();
  return true;
}

void SyncLoop::AcquireLeftovers(v1::AcquireTasksRequest request) {
  poll_.Reset();
  request.set_wait_seconds(0);
  // The cut call may still be open at the server, and a repeat would join its wait. Another
  // question, which asks for nothing, makes the server close it.
  v1::AcquireTasksRequest closing;
  closing.set_worker_id(request.worker_id());
  closing.set_request_id(dependencies_.ids.RandomHex(16));
  absl::StatusOr<v1::AcquireTasksResponse> response = dependencies_.client.Acquire(closing, poll_);
  if (response.ok()) response = dependencies_.client.Acquire(request, poll_);
  // A server that is away lets the leases expire.
  if (response.ok()) Receive(*response);
}

void SyncLoop::Receive(const v1::AcquireTasksResponse& response) {
  {
    MutexLock lock(mu_);
    polled_slots_ = -1;
  }
  if (Apply(response.directives())) SetDraining(true);
  for (const v1::LeaseSet& lease_set : response.lease_sets()) {
    dependencies_.receiver.Accept(lease_set);
  }
}

bool SyncLoop::Apply(const google::protobuf::RepeatedPtrField<v1::Directive>& directives) {
  bool drain = false;
  for (const v1::Directive& directive : directives) {
    if (directive.kind() == v1::Directive::KIND_DRAIN) {
      drain = true;
    } else if (directive.kind() == v1::Directive::KIND_REGISTER) {
      ForgetRegistration();
    } else {
      ApplyLeaseDirective(directive, dependencies_.leases);
    }
  }
  return drain;
}

void SyncLoop::SetDraining(bool draining) {
  MutexLock lock(mu_);
  if (draining == draining_) return;
  draining_ = draining;
  LogInfo(draining ? "draining: takes no new work" : "no longer draining");
  if (!draining && polled_slots_ == 0) poll_.Interrupt();
}

void SyncLoop::ForgetRegistration() {
  MutexLock lock(mu_);
  registered_ = false;
  changed_.NotifyAll();
}

}  // namespace distill::worker
