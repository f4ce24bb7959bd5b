#include "tests/support/fleet_simulator/fleet_simulator.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/status_macros.h"
#include "distill/v1/artifact_service.grpc.pb.h"
#include "distill/v1/worker_service.grpc.pb.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "worker/agent/grpc_status.h"

namespace distill {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(30);
constexpr absl::Duration kRetryAfter = absl::Milliseconds(200);

void SetDeadline(grpc::ClientContext& context, absl::Duration timeout) {
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout));
}

// What a task of this kind returns; metrics are JSON, since the server reads them.
std::string CannedBytes(const std::string& output, const std::string& salt) {
  if (output == "metrics") return "{\"accuracy\":0.5,\"images\":\"100\"}";
  return absl::StrCat("canned ", output, salt);
}

}  // namespace

FleetSimulator::FleetSimulator(Config config) : config_(std::move(config)) {}

FleetSimulator::~FleetSimulator() { Stop(); }

void FleetSimulator::Start() {
  for (int i = 0; i < config_.workers; ++i) threads_.emplace_back([this, i] { RunWorker(i); });
}

void FleetSimulator::Stop() {
  stop_.Cancel();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void FleetSimulator::RunWorker(int index) {
  v1::WorkerInfo info;
  info.set_worker_id(absl::StrCat("simulated-", index));
  info.set_hostname("nowhere");
  info.set_version("simulated");
  info.set_slots(config_.slots);
  info.set_device_kind("cpu");
  info.add_numeric_classes(config_.numeric_class);
  info.set_slot_memory_bytes(int64_t{8} << 30);
  // A connection for each, as of a real fleet.
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const std::shared_ptr<grpc::Channel> channel =
      grpc::CreateCustomChannel(config_.server, grpc::InsecureChannelCredentials(), arguments);
  bool registered = false;
  for (int64_t number = 0; !stop_.cancelled(); ++number) {
    const absl::Status status =
        registered ? Serve(info, absl::StrCat(info.worker_id(), "-", number), channel)
                   : Register(info, channel);
    registered = status.ok();
    if (status.ok()) continue;
    ++failed_calls_;
    stop_.WaitFor(kRetryAfter);
  }
}

absl::Status FleetSimulator::Register(const v1::WorkerInfo& info,
                                      const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  SetDeadline(context, kCallTimeout);
  v1::RegisterWorkerRequest request;
  *request.mutable_worker() = info;
  v1::RegisterWorkerResponse response;
  return worker::FromGrpcStatus(
      v1::WorkerService::NewStub(channel)->RegisterWorker(&context, request, &response));
}

absl::Status FleetSimulator::Serve(const v1::WorkerInfo& info, const std::string& request_id,
                                   const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  SetDeadline(context, config_.poll_wait + kCallTimeout);
  v1::AcquireTasksRequest request;
  request.set_worker_id(info.worker_id());
  request.set_request_id(request_id);
  request.set_max_lease_sets(config_.slots);
  request.set_wait_seconds(absl::ToDoubleSeconds(config_.poll_wait));
  v1::AcquireTasksResponse granted;
  DISTILL_RETURN_IF_ERROR(worker::FromGrpcStatus(
      v1::WorkerService::NewStub(channel)->AcquireTasks(&context, request, &granted)));
  for (const v1::Directive& directive : granted.directives()) {
    if (directive.kind() == v1::Directive::KIND_REGISTER) {
      return absl::NotFoundError("server does not know this worker");
    }
  }
  return granted.lease_sets().empty() ? absl::OkStatus() : Complete(info, granted, channel);
}

absl::Status FleetSimulator::Complete(const v1::WorkerInfo& info,
                                      const v1::AcquireTasksResponse& granted,
                                      const std::shared_ptr<grpc::Channel>& channel) {
  v1::CompleteAttemptsRequest request;
  request.set_worker_id(info.worker_id());
  for (const v1::LeaseSet& set : granted.lease_sets()) {
    for (const v1::Grant& grant : set.grants()) {
      v1::CompleteAttemptsRequest::Item& item = *request.add_items();
      *item.mutable_lease() = grant.lease();
      const std::string salt = config_.distinct_results ? absl::StrCat(" ", grant.lease().job(),
                                                                       "/", grant.lease().task())
                                                        : "";
      for (const std::string& output : grant.spec().outputs()) {
        const std::string bytes = CannedBytes(output, salt);
        v1::ArtifactRef& result = *item.add_results();
        result.set_name(output);
        result.set_size_bytes(static_cast<int64_t>(bytes.size()));
        DISTILL_ASSIGN_OR_RETURN(
            *result.mutable_digest(),
            Upload(bytes, absl::StrCat(info.worker_id(), "-", grant.lease().lease_id()), channel));
      }
    }
  }
  grpc::ClientContext context;
  SetDeadline(context, kCallTimeout);
  v1::CompleteAttemptsResponse response;
  DISTILL_RETURN_IF_ERROR(worker::FromGrpcStatus(
      v1::WorkerService::NewStub(channel)->CompleteAttempts(&context, request, &response)));
  for (const v1::ItemStatus& status : response.statuses()) {
    ++(status.code() == 0 ? completed_ : refused_);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> FleetSimulator::Upload(const std::string& bytes,
                                                   const std::string& upload_id,
                                                   const std::shared_ptr<grpc::Channel>& channel) {
  const std::string digest = Digest::OfBytes(bytes).str();
  {
    MutexLock lock(mu_);
    if (uploaded_.count(digest) > 0) return digest;
  }
  grpc::ClientContext context;
  SetDeadline(context, kCallTimeout);
  v1::UploadResponse response;
  const auto stub = v1::ArtifactService::NewStub(channel);
  const auto writer = stub->Upload(&context, &response);
  v1::UploadRequest request;
  request.set_upload_id(absl::StrCat(upload_id.substr(0, 100), "-", digest.substr(7, 16)));
  request.set_digest(digest);
  request.set_size_bytes(static_cast<int64_t>(bytes.size()));
  request.set_type(v1::ARTIFACT_TYPE_MODULE);
  request.set_data(bytes);
  writer->Write(request);
  writer->WritesDone();
  DISTILL_RETURN_IF_ERROR(worker::FromGrpcStatus(writer->Finish()));
  MutexLock lock(mu_);
  uploaded_.insert(digest);
  return digest;
}

}  // namespace distill
