// The C++ client of a Distillery server: every call of its public API, made safe to repeat.
//
//   Interrupt interrupt;
//   SystemClock clock;
//   SystemIdSource ids;
//   Client client({.server = "127.0.0.1:7070"}, {&clock, &ids, &interrupt, {}});
//   DISTILL_ASSIGN_OR_RETURN(const v1::Job job, client.CreateJob(spec, ids.RandomHex(16)));
//   DISTILL_ASSIGN_OR_RETURN(const v1::Job done, client.WatchJob(job.id(), 0, WatchProgress::kNo,
//                                                                [](const v1::JobEvent&) {}));
//
// A call is tried again while the server is unreachable, always with the same request, so a
// mutation whose reply was lost happens once. Errors: the server's own code and message;
// kUnavailable or kDeadlineExceeded when patience ran out; kCancelled once the interrupt was
// requested.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/random_ids.h"
#include "client/backoff.h"
#include "client/interrupt.h"
#include "client/server_route.h"
#include "distill/v1/artifact_service.grpc.pb.h"
#include "distill/v1/auth_service.grpc.pb.h"
#include "distill/v1/cache_service.grpc.pb.h"
#include "distill/v1/dataset_service.grpc.pb.h"
#include "distill/v1/fleet_service.grpc.pb.h"
#include "distill/v1/job_service.grpc.pb.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "transport/secure_channel.h"

namespace distill::client {

struct ClientOptions {
  // "host:port"; several, separated by commas, when servers stand by for each other. Tries are
  // shorter then and patience lasts over a change of the leader.
  std::string server;
  // How to speak to it (transport/secure_channel.h); null: unencrypted.
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  // What `credentials` were made from.
  ChannelSecurity security;
  // Longest single try of a call that is not a stream.
  absl::Duration call_timeout = absl::Seconds(20);
  // How long a call is tried again before its error is returned.
  absl::Duration retry_for = absl::Seconds(10);
  // The same for a stream that has worked before, counted from its last message.
  absl::Duration reconnect_for = absl::Minutes(10);
  absl::Duration first_backoff = absl::Milliseconds(100);
  absl::Duration longest_backoff = absl::Seconds(3);
  // W3C trace context that is sent with every call; empty: none.
  std::string traceparent;
};

// All outlive the client.
struct ClientDependencies {
  const Clock* clock;
  IdSource* ids;
  Interrupt* interrupt;
  // Told once per outage that calls are being tried again. May be empty.
  std::function<void(const absl::Status&)> on_retry;
};

enum class WatchProgress { kNo, kYes };

// What becomes of a job that no worker that is known could ever run.
enum class Unplaceable { kRefuse, kAccept };

// How far a log was followed.
struct LogEnd {
  int64_t offset = 0;
  int attempt = 0;  // 0: nothing came.
};

// Thread-safe; calls block.
class Client {
 public:
  Client(ClientOptions options, ClientDependencies dependencies);

  const std::string& server() const { return options_.server; }

  // Plans and accepts a job. `request_id`: 1 to 128 of [A-Za-z0-9._-]; the same one returns the
  // same job. kInvalidArgument names the field.
  absl::StatusOr<v1::Job> CreateJob(const v1::JobSpec& spec, const std::string& request_id,
                                    Unplaceable unplaceable = Unplaceable::kRefuse);
  // Plans a job and stores nothing; the job returned has no id.
  absl::StatusOr<v1::Job> ValidateJob(const v1::JobSpec& spec);
  // What the job would do, and what that is expected to need. Stores nothing.
  absl::StatusOr<v1::JobPlan> PlanJob(const v1::JobSpec& spec);
  absl::StatusOr<v1::Job> GetJob(const std::string& job);
  // Newest first, at most `limit`. `project` "-" means all.
  absl::StatusOr<std::vector<v1::Job>> ListJobs(const std::string& project, int limit);
  // Accepts at once; the job is CANCELLING until its trainers are gone. Idempotent.
  absl::StatusOr<v1::Job> CancelJob(const std::string& job);
  // Idempotent; kFailedPrecondition when the job is over.
  absl::StatusOr<v1::Job> PauseJob(const std::string& job);
  absl::StatusOr<v1::Job> ResumeJob(const std::string& job);
  // Submits a job that failed or was cancelled again. The same request_id returns the same new job.
  absl::StatusOr<v1::Job> RetryJob(const std::string& job, const std::string& request_id);
  // OK too when there is none of this id. kFailedPrecondition while it is not over.
  absl::Status DeleteJob(const std::string& job);
  absl::StatusOr<v1::Report> GetReport(const std::string& job);

  // Delivers each change of the job after `after_revision` exactly once, in order, across restarts
  // of the server and lost connections; progress as it comes. Returns the job once it is terminal.
  absl::StatusOr<v1::Job> WatchJob(const std::string& job, int64_t after_revision,
                                   WatchProgress progress,
                                   const std::function<void(const v1::JobEvent&)>& on_event);

  absl::StatusOr<v1::Task> GetTask(const std::string& job, const std::string& task);
  // In plan order.
  absl::StatusOr<std::vector<v1::Task>> ListTasks(const std::string& job);
  // Why the task does not run.
  absl::StatusOr<v1::TaskExplanation> ExplainTask(const std::string& job, const std::string& task);
  // Hands the log of one attempt (0: the newest) from byte `offset` to `sink`, as far as it is
  // written. Returns the offset of what comes next.
  absl::StatusOr<int64_t> ReadLog(const std::string& job, const std::string& task, int attempt,
                                  int64_t offset,
                                  const std::function<void(absl::string_view)>& sink);
  // Hands the log of one attempt (0: the newest; one that is still to come is waited for) to
  // `sink`, from its beginning, as it is written, and across lost connections and restarts of the
  // server. Returns when the attempt has ended.
  absl::StatusOr<LogEnd> FollowLog(const std::string& job, const std::string& task, int attempt,
                                   const std::function<void(absl::string_view)>& sink);
  absl::StatusOr<v1::Trace> GetTrace(const std::string& job);
  absl::StatusOr<v1::Series> ReadSeries(const std::string& job, const std::string& task);

  absl::StatusOr<v1::Artifact> GetArtifact(const std::string& digest);
  // Of one job, or all when `job` is empty.
  absl::StatusOr<std::vector<v1::Artifact>> ListArtifacts(const std::string& job);
  // Streams a blob to `sink` and resumes where a connection broke. `sink` sees bytes before they
  // are verified: trust them only after OK. kDataLoss when they do not match the digest. An error
  // of `sink` ends the call.
  absl::Status DownloadArtifact(const std::string& digest,
                                const std::function<absl::Status(absl::string_view)>& sink);
  // Downloads into a file that appears, durably, only when it is complete and verified.
  absl::Status DownloadToFile(const std::string& digest, const std::string& path);
  // Uploads a file, or nothing if the server has it, for `project` to read. Returns its digest.
  absl::StatusOr<std::string> UploadFile(const std::string& path, v1::ArtifactType type,
                                         const std::string& project = "default");

  // Registers a data set; GetDataset tells how far its reading is. The same request_id returns the
  // same data set.
  absl::StatusOr<v1::Dataset> CreateDataset(const v1::CreateDatasetRequest& request);
  absl::StatusOr<v1::Dataset> GetDataset(const std::string& name);
  // In order of name.
  absl::StatusOr<std::vector<v1::Dataset>> ListDatasets();
  absl::StatusOr<v1::Dataset> VerifyDataset(const std::string& name, const std::string& request_id);
  // OK too when there is none of this name.
  absl::Status DeleteDataset(const std::string& name);

  // The text of the token is told this once. kAlreadyExists when the reply to an earlier try was
  // lost.
  absl::StatusOr<v1::CreateTokenResponse> CreateToken(const v1::CreateTokenRequest& request);
  absl::StatusOr<std::vector<v1::Token>> ListTokens();
  absl::StatusOr<v1::Token> RevokeToken(const std::string& id);
  absl::StatusOr<v1::WhoAmIResponse> WhoAmI();

  absl::StatusOr<std::vector<v1::Worker>> ListWorkers();
  // `deadline`: when what still runs is handed back; infinite: it may finish.
  absl::StatusOr<v1::Worker> DrainWorker(const std::string& worker_id, absl::Duration deadline);
  absl::StatusOr<v1::Worker> QuarantineWorker(const std::string& worker_id,
                                              const std::string& reason);
  absl::StatusOr<v1::Worker> ResumeWorker(const std::string& worker_id);

  // In order of project.
  absl::StatusOr<std::vector<v1::Quota>> ListQuotas();
  absl::StatusOr<v1::Quota> SetQuota(const v1::Quota& quota);
  // Idempotent.
  absl::Status DeleteQuota(const std::string& project);

  // What the device time of a job went into.
  absl::StatusOr<v1::Ledger> GetJobCost(const std::string& job);
  // Of one project, or all when `project` is empty; in order of project.
  absl::StatusOr<std::vector<v1::Ledger>> ListLedgers(const std::string& project);
  // Either job and task, or key and project.
  absl::StatusOr<v1::KeyExplanation> ExplainKey(const v1::ExplainKeyRequest& request);
  absl::StatusOr<v1::CacheStats> GetCacheStats(const std::string& project);
  // Idempotent. kFailedPrecondition while a job that is not over uses the result.
  absl::StatusOr<v1::EvictResultResponse> EvictResult(v1::EvictResultRequest request);

 private:
  // What one try of a stream came to.
  struct StreamTry {
    absl::Status status;
    // It delivered something, so patience and back-off start anew.
    bool advanced = false;
  };

  // Runs `attempt` until it succeeds, fails for good, or made no progress for `patience`.
  absl::Status Retry(absl::Duration patience, const std::function<StreamTry()>& attempt);
  // Makes one unary call, with retries.
  template <typename Service, typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(absl::string_view action, const ServiceStubs<Service>& stubs,
                                grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                             Response*),
                                const Request& request);
  // Sends the rest of a file, from where the server stands.
  // Reads a blob once more in such a way that the server hashes it too and sets it aside if it is
  // corrupt.
  void LetServerCheck(const std::string& digest);
  StreamTry UploadOnce(const std::string& path, const v1::UploadRequest& first);
  absl::Status Annotated(absl::string_view action, const absl::Status& status) const;
  Backoff NewBackoff();
  // What all calls have in common.
  void Prepare(grpc::ClientContext& context) const;

  const ClientOptions options_;
  const ClientDependencies dependencies_;
  ServerRoute route_;
  const std::vector<std::shared_ptr<grpc::Channel>> channels_;
  const ServiceStubs<v1::JobService> jobs_;
  const ServiceStubs<v1::TaskService> tasks_;
  const ServiceStubs<v1::ArtifactService> artifacts_;
  const ServiceStubs<v1::FleetService> fleet_;
  const ServiceStubs<v1::DatasetService> datasets_;
  const ServiceStubs<v1::CacheService> cache_;
  const ServiceStubs<v1::AuthService> auth_;
};

// Whether nothing will change in the job any more.
bool IsTerminal(v1::JobState state);
bool IsTerminal(v1::TaskState state);

}  // namespace distill::client
