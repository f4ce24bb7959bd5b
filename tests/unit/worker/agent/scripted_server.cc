#include "tests/unit/worker/agent/scripted_server.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/digest.h"
#include "distill/v1/artifact_service.grpc.pb.h"
#include "distill/v1/worker_service.grpc.pb.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"

namespace distill::worker {
namespace {

constexpr double kHeartbeatSeconds = 0.05;
constexpr double kLeaseSeconds = 5;
constexpr size_t kChunkBytes = 1000;

}  // namespace

class ScriptedServer::WorkerCalls : public v1::WorkerService::Service {
 public:
  explicit WorkerCalls(ScriptedServer& server) : server_(&server) {}

  grpc::Status RegisterWorker(grpc::ServerContext*, const v1::RegisterWorkerRequest* request,
                              v1::RegisterWorkerResponse* response) override {
    server_->With([&](State& state) {
      ++state.registrations;
      state.last_registration = *request;
    });
    response->set_heartbeat_interval_seconds(kHeartbeatSeconds);
    response->set_lease_seconds(kLeaseSeconds);
    return grpc::Status::OK;
  }

  grpc::Status AcquireTasks(grpc::ServerContext* context, const v1::AcquireTasksRequest* request,
                            v1::AcquireTasksResponse* response) override {
    const SystemClock clock;
    const MonotonicTime deadline = clock.Now() + absl::Seconds(request->wait_seconds());
    MutexLock lock(server_->mu_);
    State& state = server_->state_;
    state.acquisitions.push_back(*request);
    server_->changed_.NotifyAll();
    const auto repeated = server_->granted_.find(request->request_id());
    if (repeated != server_->granted_.end()) {
      *response = repeated->second;
      return grpc::Status::OK;
    }
    while (!server_->stopping_ && !context->IsCancelled() && clock.Now() < deadline &&
           (state.offered.empty() || request->max_lease_sets() == 0)) {
      server_->changed_.WaitFor(server_->mu_, absl::Milliseconds(10));
    }
    if (server_->stopping_) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "stopping");
    while (response->lease_sets_size() < request->max_lease_sets() && !state.offered.empty() &&
           !context->IsCancelled()) {
      *response->add_lease_sets() = state.offered.front();
      state.offered.erase(state.offered.begin());
    }
    server_->granted_[request->request_id()] = *response;
    if (response->lease_sets_size() > 0 && state.grants_to_lose > 0) {
      --state.grants_to_lose;
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "answer was lost");
    }
    return grpc::Status::OK;
  }

  grpc::Status Heartbeat(grpc::ServerContext*, const v1::HeartbeatRequest* request,
                         v1::HeartbeatResponse* response) override {
    server_->With([&](State& state) {
      ++state.heartbeats;
      state.last_heartbeat = *request;
      for (const v1::Directive& directive : state.directives) {
        *response->add_directives() = directive;
      }
      if (std::exchange(state.forget_workers, false)) {
        response->add_directives()->set_kind(v1::Directive::KIND_REGISTER);
      }
    });
    response->set_next_heartbeat_seconds(kHeartbeatSeconds);
    return grpc::Status::OK;
  }

  grpc::Status CompleteAttempts(grpc::ServerContext*, const v1::CompleteAttemptsRequest* request,
                                v1::CompleteAttemptsResponse* response) override {
    int call_code = 0;
    server_->With([&](State& state) {
      call_code = state.complete_call_code;
      for (const auto& item : request->items()) {
        v1::ItemStatus& status = *response->add_statuses();
        status.set_code(state.complete_item_code);
        if (call_code == 0) state.completed.push_back(item);
      }
    });
    return grpc::Status(static_cast<grpc::StatusCode>(call_code), "as the test says");
  }

  grpc::Status FailAttempts(grpc::ServerContext*, const v1::FailAttemptsRequest* request,
                            v1::FailAttemptsResponse* response) override {
    server_->With([&](State& state) {
      for (const auto& item : request->items()) {
        state.failed.push_back(item);
        response->add_statuses();
      }
    });
    return grpc::Status::OK;
  }

  grpc::Status ReleaseLeases(grpc::ServerContext*, const v1::ReleaseLeasesRequest* request,
                             v1::ReleaseLeasesResponse* response) override {
    server_->With([&](State& state) {
      for (const auto& item : request->items()) {
        state.released.push_back(item);
        response->add_statuses();
      }
    });
    return grpc::Status::OK;
  }

 private:
  ScriptedServer* const server_;
};

class ScriptedServer::ArtifactCalls : public v1::ArtifactService::Service {
 public:
  explicit ArtifactCalls(ScriptedServer& server) : server_(&server) {}

  grpc::Status FindMissing(grpc::ServerContext*, const v1::FindMissingRequest* request,
                           v1::FindMissingResponse* response) override {
    server_->With([&](State& state) {
      for (const std::string& digest : request->digests()) {
        if (state.blobs.count(digest) == 0) response->add_missing_digests(digest);
      }
    });
    return grpc::Status::OK;
  }

  grpc::Status LocateUpload(grpc::ServerContext*, const v1::LocateUploadRequest* request,
                            v1::LocateUploadResponse* response) override {
    return Locate("PUT", request->digest(), [&](bool present, const v1::HttpLocation& location) {
      response->set_already_present(present);
      if (!present) *response->mutable_location() = location;
    });
  }

  grpc::Status LocateDownload(grpc::ServerContext*, const v1::LocateDownloadRequest* request,
                              v1::LocateDownloadResponse* response) override {
    return Locate("GET", request->digest(), [&](bool, const v1::HttpLocation& location) {
      *response->mutable_location() = location;
    });
  }

  grpc::Status FinalizeUpload(grpc::ServerContext*, const v1::FinalizeUploadRequest* request,
                              v1::UploadResponse* response) override {
    response->set_digest(request->digest());
    server_->With([&](State& state) { state.finalized.push_back(request->digest()); });
    return grpc::Status::OK;
  }

  grpc::Status QueryUpload(grpc::ServerContext*, const v1::QueryUploadRequest* request,
                           v1::QueryUploadResponse* response) override {
    MutexLock lock(server_->mu_);
    const auto found = server_->partial_uploads_.find(request->upload_id());
    if (found == server_->partial_uploads_.end()) {
      return grpc::Status(grpc::StatusCode::NOT_FOUND, "no such upload");
    }
    response->set_committed_bytes(static_cast<int64_t>(found->second.size()));
    return grpc::Status::OK;
  }

  grpc::Status Upload(grpc::ServerContext*, grpc::ServerReader<v1::UploadRequest>* reader,
                      v1::UploadResponse* response) override {
    v1::UploadRequest request;
    std::string id, digest, bytes;
    bool cut = false, elsewhere = false;
    while (reader->Read(&request)) {
      if (id.empty()) {
        id = request.upload_id();
        digest = request.digest();
        MutexLock lock(server_->mu_);
        ++server_->state_.uploads;
        server_->state_.upload_offsets.push_back(request.offset());
        bytes = server_->partial_uploads_[id];
        cut = server_->state_.uploads_to_cut > 0;
        if (cut) --server_->state_.uploads_to_cut;
        elsewhere = server_->state_.uploads_elsewhere > 0;
        if (elsewhere) --server_->state_.uploads_elsewhere;
      }
      if (elsewhere || request.offset() != static_cast<int64_t>(bytes.size())) {
        return grpc::Status(grpc::StatusCode::OUT_OF_RANGE, "wrong offset");
      }
      bytes += request.data();
      if (cut) {
        MutexLock lock(server_->mu_);
        server_->partial_uploads_[id] = bytes;
        return grpc::Status(grpc::StatusCode::UNAVAILABLE, "upload was cut");
      }
    }
    if (Digest::OfBytes(bytes).str() != digest) {
      return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "digest differs");
    }
    response->set_digest(digest);
    server_->With([&](State& state) { state.blobs[digest] = bytes; });
    return grpc::Status::OK;
  }

  grpc::Status Download(grpc::ServerContext*, const v1::DownloadRequest* request,
                        grpc::ServerWriter<v1::DownloadResponse>* writer) override {
    std::string bytes;
    bool found = false, damage = false, cut = false;
    server_->With([&](State& state) {
      ++state.downloads;
      found = state.blobs.count(request->digest()) > 0;
      if (found) bytes = state.blobs[request->digest()];
      damage = state.downloads_to_damage > 0 && state.downloads_to_damage-- > 0;
      cut = state.downloads_to_cut > 0 && state.downloads_to_cut-- > 0;
    });
    if (!found) return grpc::Status(grpc::StatusCode::NOT_FOUND, "no such blob");
    if (damage) bytes.back() = static_cast<char>(bytes.back() ^ 1);
    const size_t end = cut ? bytes.size() / 2 : bytes.size();
    for (size_t at = static_cast<size_t>(request->offset()); at < end; at += kChunkBytes) {
      v1::DownloadResponse response;
      response.set_offset(static_cast<int64_t>(at));
      response.set_data(bytes.substr(at, std::min(kChunkBytes, end - at)));
      writer->Write(response);
    }
    return cut ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "download was cut") : grpc::Status::OK;
  }

 private:
  // Tells `answer` whether the blob is present, and where it would be.
  template <typename Answer>
  grpc::Status Locate(const std::string& method, const std::string& digest, Answer answer) {
    v1::HttpLocation location;
    bool present = false;
    server_->With([&](State& state) {
      present = state.blobs.count(digest) > 0;
      location.set_url(state.object_store);
    });
    if (location.url().empty()) return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "old");
    location.set_method(method);
    location.set_url(location.url() + "/" + digest);
    v1::HttpLocation::Header& header = *location.add_headers();
    header.set_name("x-signed");
    header.set_value("yes");
    answer(present, location);
    return grpc::Status::OK;
  }

  ScriptedServer* const server_;
};

struct ScriptedServer::Server {
  explicit Server(ScriptedServer& owner) : worker_calls(owner), artifact_calls(owner) {}
  WorkerCalls worker_calls;
  ArtifactCalls artifact_calls;
  std::unique_ptr<grpc::Server> server;
};

ScriptedServer::ScriptedServer() { Start(); }

ScriptedServer::~ScriptedServer() { Stop(); }

void ScriptedServer::Start() {
  {
    MutexLock lock(mu_);
    stopping_ = false;
  }
  server_ = std::make_unique<Server>(*this);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(absl::StrCat("127.0.0.1:", port_), grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterService(&server_->worker_calls);
  builder.RegisterService(&server_->artifact_calls);
  server_->server = builder.BuildAndStart();
  DISTILL_CHECK(server_->server != nullptr && port != 0, "the test's port must be free");
  port_ = port;
}

void ScriptedServer::Stop() {
  if (server_ == nullptr) return;
  {
    MutexLock lock(mu_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  server_->server->Shutdown(std::chrono::system_clock::now());
  server_->server->Wait();
  server_.reset();
}

std::string ScriptedServer::address() const { return absl::StrCat("127.0.0.1:", port_); }

void ScriptedServer::With(const std::function<void(State&)>& change) {
  MutexLock lock(mu_);
  change(state_);
  changed_.NotifyAll();
}

bool ScriptedServer::Await(const std::function<bool(const State&)>& condition,
                           absl::Duration timeout) {
  const SystemClock clock;
  const MonotonicTime deadline = clock.Now() + timeout;
  MutexLock lock(mu_);
  while (!condition(state_)) {
    const absl::Duration left = deadline - clock.Now();
    if (left <= absl::ZeroDuration()) return false;
    changed_.WaitFor(mu_, left);
  }
  return true;
}

std::string ScriptedServer::AddBlob(const std::string& bytes) {
  const std::string digest = Digest::OfBytes(bytes).str();
  With([&](State& state) { state.blobs[digest] = bytes; });
  return digest;
}

std::string ScriptedServer::Blob(const std::string& digest) {
  MutexLock lock(mu_);
  const auto found = state_.blobs.find(digest);
  return found == state_.blobs.end() ? "" : found->second;
}

}  // namespace distill::worker
