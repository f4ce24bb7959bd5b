// A server that does as a test says, over real gRPC on a port of its own: hands out the lease sets
// that were offered, keeps blobs, records what workers report. Its state outlives Stop() and
// Start().
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "distill/v1/worker_service.pb.h"

namespace distill::worker {

// Thread-safe.
class ScriptedServer {
 public:
  ScriptedServer();
  ~ScriptedServer();

  // Serves on the same port every time.
  void Start();
  // Ends all calls and refuses new ones.
  void Stop();
  std::string address() const;

  // What a test sets and looks at.
  struct State {
    std::vector<v1::LeaseSet> offered;
    // Told in every heartbeat.
    std::vector<v1::Directive> directives;
    std::map<std::string, std::string> blobs;  // By "sha256:hex".
    // Answered instead of OK: code of Complete items, or of the whole call.
    int complete_item_code = 0;
    int complete_call_code = 0;
    // Bytes of the next downloads are damaged so many times.
    int downloads_to_damage = 0;
    // The next downloads are cut after half of the blob so many times.
    int downloads_to_cut = 0;
    // The next uploads are cut after their first message so many times.
    int uploads_to_cut = 0;
    // The next uploads are told that they stand elsewhere, so many times.
    int uploads_elsewhere = 0;
    // The next acquisitions lose their answer so many times, after granting.
    int grants_to_lose = 0;
    // URL to which the locations of blobs point; empty: the server knows no locations, like one of
    // an earlier version.
    std::string object_store;
    // Direct uploads that are finalized, by digest.
    std::vector<std::string> finalized;
    bool forget_workers = false;  // Answer the next heartbeat with REGISTER.

    int registrations = 0;
    int heartbeats = 0;
    int downloads = 0;
    int uploads = 0;
    std::vector<int64_t> upload_offsets;
    v1::RegisterWorkerRequest last_registration;
    v1::HeartbeatRequest last_heartbeat;
    std::vector<v1::AcquireTasksRequest> acquisitions;
    std::vector<v1::CompleteAttemptsRequest::Item> completed;
    std::vector<v1::FailAttemptsRequest::Item> failed;
    std::vector<v1::ReleaseLeasesRequest::Item> released;
  };

  // Changes or reads the state.
  void With(const std::function<void(State&)>& change) ABSL_LOCKS_EXCLUDED(mu_);
  // Waits until the state is as wanted. Returns whether it became so in time.
  bool Await(const std::function<bool(const State&)>& condition,
             absl::Duration timeout = absl::Seconds(20)) ABSL_LOCKS_EXCLUDED(mu_);
  // Stores a blob and returns its digest.
  std::string AddBlob(const std::string& bytes) ABSL_LOCKS_EXCLUDED(mu_);
  std::string Blob(const std::string& digest) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  class WorkerCalls;
  class ArtifactCalls;
  struct Server;

  mutable Mutex mu_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  State state_ ABSL_GUARDED_BY(mu_);
  // Grants by request id, for repeated requests.
  std::map<std::string, v1::AcquireTasksResponse> granted_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::string> partial_uploads_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<Server> server_;
  int port_ = 0;
};

}  // namespace distill::worker
