#include "tests/support/fleet_simulator/fleet_simulator.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/status_macros.h"
#include "grpcpp/channel.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "proto/status/grpc_status.h"

namespace distill {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(30);
constexpr absl::Duration kRetryAfter = absl::Milliseconds(200);

void SetDeadline(grpc::ClientContext& context, absl::Duration timeout) {
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout));
}

// What a task returns; metrics are JSON, since the server reads them.
std::string CannedBytes(const std::string& output) {
  if (output == "metrics") return "{\"accuracy\":0.5,\"images\":\"100\"}";
  return absl::StrCat("canned ", output);
}

v1::WorkerInfo Describe(int index, const FleetSimulator::Config& config) {
  v1::WorkerInfo info;
  info.set_worker_id(absl::StrCat("simulated-", index));
  info.set_hostname("nowhere");
  info.set_version("simulated");
  info.set_slots(config.slots);
  info.set_device_kind("cpu");
  info.add_numeric_classes(config.numeric_class);
  info.set_slot_memory_bytes(int64_t{8} << 30);
  return info;
}

}  // namespace

FleetSimulator::FleetSimulator(Config config) : config_(std::move(config)) {
  const int connections = config_.connections > 0 ? config_.connections : config_.workers;
  for (int i = 0; i < connections; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    const auto channel =
        grpc::CreateCustomChannel(config_.server, grpc::InsecureChannelCredentials(), arguments);
    connections_.push_back(
        {v1::WorkerService::NewStub(channel), v1::ArtifactService::NewStub(channel)});
  }
  for (int i = 0; i < config_.workers; ++i) {
    workers_.push_back({Describe(i, config_), i % connections});
  }
}

FleetSimulator::~FleetSimulator() { Stop(); }

void FleetSimulator::Start() {
  timer_ = std::thread([this] { RunTimer(); });
  for (Worker& worker : workers_) Register(worker);
}

void FleetSimulator::Stop() {
  {
    MutexLock lock(mu_);
    stopping_ = true;
    for (grpc::ClientContext* context : open_) context->TryCancel();
    changed_.NotifyAll();
    while (in_flight_ > 0) changed_.Wait(mu_);
  }
  if (timer_.joinable()) timer_.join();
}

std::vector<absl::Duration> FleetSimulator::release_latencies() const {
  MutexLock lock(mu_);
  return release_latencies_;
}

template <typename Request, typename Response>
void FleetSimulator::Call(
    Request request, absl::Duration timeout,
    void (v1::WorkerService::Stub::async::*method)(grpc::ClientContext*, const Request*, Response*,
                                                   std::function<void(grpc::Status)>),
    Worker& worker, std::function<void(const absl::Status&, const Response&)> then) {
  struct State {
    grpc::ClientContext context;
    Request request;
    Response response;
  };
  auto state = std::make_shared<State>();
  state->request = std::move(request);
  SetDeadline(state->context, timeout);
  {
    MutexLock lock(mu_);
    if (stopping_) return;
    ++in_flight_;
    open_.insert(&state->context);
  }
  const auto stub = connections_[static_cast<size_t>(worker.connection)].workers->async();
  (stub->*method)(&state->context, &state->request, &state->response,
                  [this, state, then = std::move(then)](const grpc::Status& status) {
                    {
                      MutexLock lock(mu_);
                      open_.erase(&state->context);
                    }
                    if (!status.ok()) ++failed_calls_;
                    then(FromGrpcStatus(status), state->response);
                    MutexLock lock(mu_);
                    if (--in_flight_ == 0) changed_.NotifyAll();
                  });
}

void FleetSimulator::Register(Worker& worker) {
  v1::RegisterWorkerRequest request;
  *request.mutable_worker() = worker.info;
  const std::function<void(const absl::Status&, const v1::RegisterWorkerResponse&)> then =
      [this, &worker](const absl::Status& status, const v1::RegisterWorkerResponse&) {
        if (!status.ok()) return After(kRetryAfter, [this, &worker] { Register(worker); });
        ++registered_;
        Acquire(worker);
        if (worker.beats || config_.heartbeat_interval == absl::InfiniteDuration()) return;
        worker.beats = true;
        // As in a fleet, their heartbeats are spread over the interval.
        const double share =
            static_cast<double>(&worker - workers_.data()) / static_cast<double>(workers_.size());
        After(config_.heartbeat_interval * share, [this, &worker] { Beat(worker); });
      };
  Call(std::move(request), kCallTimeout, &v1::WorkerService::Stub::async::RegisterWorker, worker,
       then);
}

void FleetSimulator::Beat(Worker& worker) {
  v1::HeartbeatRequest request;
  request.set_worker_id(worker.info.worker_id());
  const std::function<void(const absl::Status&, const v1::HeartbeatResponse&)> then =
      [this, &worker](const absl::Status&, const v1::HeartbeatResponse&) {
        ++heartbeats_;
        After(config_.heartbeat_interval, [this, &worker] { Beat(worker); });
      };
  Call(std::move(request), kCallTimeout, &v1::WorkerService::Stub::async::Heartbeat, worker, then);
}

void FleetSimulator::Acquire(Worker& worker) {
  v1::AcquireTasksRequest request;
  request.set_worker_id(worker.info.worker_id());
  request.set_request_id(absl::StrCat(worker.info.worker_id(), "-", ++worker.calls));
  request.set_max_lease_sets(config_.slots);
  request.set_wait_seconds(absl::ToDoubleSeconds(config_.poll_wait));
  const std::function<void(const absl::Status&, const v1::AcquireTasksResponse&)> then =
      [this, &worker](const absl::Status& status, const v1::AcquireTasksResponse& granted) {
        if (!status.ok()) return After(kRetryAfter, [this, &worker] { Register(worker); });
        for (const v1::LeaseSet& set : granted.lease_sets()) {
          for (const v1::Grant& grant : set.grants()) NoteGranted(grant.lease().job());
        }
        granted.lease_sets().empty() ? Acquire(worker) : Complete(worker, granted);
      };
  Call(std::move(request), config_.poll_wait + kCallTimeout,
       &v1::WorkerService::Stub::async::AcquireTasks, worker, then);
}

void FleetSimulator::Complete(Worker& worker, const v1::AcquireTasksResponse& granted) {
  v1::CompleteAttemptsRequest request;
  request.set_worker_id(worker.info.worker_id());
  for (const v1::LeaseSet& set : granted.lease_sets()) {
    for (const v1::Grant& grant : set.grants()) {
      v1::CompleteAttemptsRequest::Item& item = *request.add_items();
      *item.mutable_lease() = grant.lease();
      for (const std::string& output : grant.spec().outputs()) {
        const std::string bytes = CannedBytes(output);
        const absl::StatusOr<std::string> digest = Upload(bytes, worker);
        if (!digest.ok()) {
          ++failed_calls_;
          return After(kRetryAfter, [this, &worker, granted] { Complete(worker, granted); });
        }
        v1::ArtifactRef& result = *item.add_results();
        result.set_name(output);
        result.set_size_bytes(static_cast<int64_t>(bytes.size()));
        result.set_digest(*digest);
      }
    }
  }
  for (const auto& item : request.items()) NoteCompletion(item.lease().job());
  const std::function<void(const absl::Status&, const v1::CompleteAttemptsResponse&)> then =
      [this, &worker](const absl::Status&, const v1::CompleteAttemptsResponse& response) {
        for (const v1::ItemStatus& status : response.statuses()) {
          ++(status.code() == 0 ? completed_ : refused_);
        }
        Acquire(worker);
      };
  Call(std::move(request), kCallTimeout, &v1::WorkerService::Stub::async::CompleteAttempts, worker,
       then);
}

void FleetSimulator::NoteGranted(const std::string& job) {
  MutexLock lock(mu_);
  JobLeases& leases = jobs_[job];
  ++leases.open;
  if (leases.waiting) release_latencies_.push_back(clock_.Now() - leases.released);
  leases.waiting = false;
}

void FleetSimulator::NoteCompletion(const std::string& job) {
  MutexLock lock(mu_);
  JobLeases& leases = jobs_[job];
  leases.waiting = --leases.open == 0;
  leases.released = clock_.Now();
}

void FleetSimulator::After(absl::Duration delay, std::function<void()> action) {
  MutexLock lock(mu_);
  timers_.emplace(clock_.Now() + delay, std::move(action));
  changed_.NotifyAll();
}

void FleetSimulator::RunTimer() {
  while (true) {
    std::function<void()> action;
    {
      MutexLock lock(mu_);
      while (!stopping_ && (timers_.empty() || clock_.Now() < timers_.begin()->first)) {
        changed_.WaitFor(mu_, timers_.empty() ? absl::InfiniteDuration()
                                              : timers_.begin()->first - clock_.Now());
      }
      if (stopping_) return;
      action = std::move(timers_.begin()->second);
      timers_.erase(timers_.begin());
    }
    action();
  }
}

absl::StatusOr<std::string> FleetSimulator::Upload(const std::string& bytes, const Worker& worker) {
  {
    MutexLock lock(mu_);
    const auto found = uploaded_.find(bytes);
    if (found != uploaded_.end()) return found->second;
  }
  const std::string digest = Digest::OfBytes(bytes).str();
  grpc::ClientContext context;
  SetDeadline(context, kCallTimeout);
  v1::UploadResponse response;
  const auto writer =
      connections_[static_cast<size_t>(worker.connection)].artifacts->Upload(&context, &response);
  v1::UploadRequest request;
  request.set_upload_id(absl::StrCat(worker.info.worker_id(), "-", digest.substr(7, 16)));
  request.set_digest(digest);
  request.set_size_bytes(static_cast<int64_t>(bytes.size()));
  request.set_type(v1::ARTIFACT_TYPE_MODULE);
  request.set_data(bytes);
  writer->Write(request);
  writer->WritesDone();
  DISTILL_RETURN_IF_ERROR(FromGrpcStatus(writer->Finish()));
  MutexLock lock(mu_);
  uploaded_.emplace(bytes, digest);
  return digest;
}

}  // namespace distill
