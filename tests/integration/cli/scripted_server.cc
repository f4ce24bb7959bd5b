#include "tests/integration/cli/scripted_server.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/digest.h"
#include "client/client.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"

namespace distill::client {
namespace {

grpc::Status NotFound(const std::string& what, const std::string& id) {
  return {grpc::StatusCode::NOT_FOUND, absl::StrCat("there is no ", what, " ", id)};
}

grpc::Status Broken() { return {grpc::StatusCode::UNAVAILABLE, "scripted break"}; }

// Copies one page of `all` into `page`, and returns the token of the next.
template <typename T, typename Page>
std::string Paginate(const std::vector<T>& all, const std::string& token, int64_t most,
                     Page* page) {
  int64_t start = 0;
  (void)absl::SimpleAtoi(token, &start);
  const int64_t end = std::min(start + most, static_cast<int64_t>(all.size()));
  for (int64_t i = start; i < end; ++i) *page->Add() = all[static_cast<size_t>(i)];
  return end < static_cast<int64_t>(all.size()) ? absl::StrCat(end) : "";
}

}  // namespace

class ScriptedServer::Jobs : public v1::JobService::Service {
 public:
  explicit Jobs(ScriptedServer* server) : s_(*server) {}

  grpc::Status CreateJob(grpc::ServerContext*, const v1::CreateJobRequest* request,
                         v1::Job* job) override {
    MutexLock lock(s_.mu_);
    if (grpc::Status failure = s_.NextFailure(); !failure.ok()) return failure;
    s_.created_.push_back(*request);
    if (!s_.script_.create_status.ok()) return s_.script_.create_status;
    *job->mutable_spec() = request->spec();
    job->mutable_spec()->set_seed(request->spec().seed());
    job->set_tasks_total(17);
    if (request->validate_only()) return grpc::Status::OK;
    const auto [entry, is_new] = s_.by_request_.emplace(request->request_id(), *job);
    if (is_new) {
      entry->second.set_id(absl::StrCat("job-", s_.by_request_.size()));
      entry->second.set_state(v1::JOB_STATE_RUNNING);
    }
    *job = entry->second;
    if (s_.script_.lost_replies > 0) {
      --s_.script_.lost_replies;
      return Broken();
    }
    return grpc::Status::OK;
  }

  grpc::Status PlanJob(grpc::ServerContext*, const v1::PlanJobRequest* request,
                       v1::JobPlan* plan) override {
    MutexLock lock(s_.mu_);
    if (!s_.script_.create_status.ok()) return s_.script_.create_status;
    *plan = s_.script_.plan;
    *plan->mutable_job()->mutable_spec() = request->spec();
    return grpc::Status::OK;
  }

  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest* request,
                      v1::Job* job) override {
    MutexLock lock(s_.mu_);
    if (grpc::Status failure = s_.NextFailure(); !failure.ok()) return failure;
    const v1::Job* const found = s_.FindJob(request->job());
    if (found == nullptr) return NotFound("job", request->job());
    *job = *found;
    return grpc::Status::OK;
  }

  grpc::Status ListJobs(grpc::ServerContext*, const v1::ListJobsRequest* request,
                        v1::ListJobsResponse* response) override {
    MutexLock lock(s_.mu_);
    if (grpc::Status failure = s_.NextFailure(); !failure.ok()) return failure;
    response->set_next_page_token(Paginate(
        s_.script_.jobs, request->page_token(),
        std::min<int64_t>(request->page_size(), s_.script_.page_size), response->mutable_jobs()));
    return grpc::Status::OK;
  }

  grpc::Status CancelJob(grpc::ServerContext*, const v1::CancelJobRequest* request,
                         v1::Job* job) override {
    MutexLock lock(s_.mu_);
    if (grpc::Status failure = s_.NextFailure(); !failure.ok()) return failure;
    const v1::Job* const found = s_.FindJob(request->job());
    if (found == nullptr) return NotFound("job", request->job());
    s_.cancelled_.push_back(request->job());
    *job = *found;
    job->set_state(v1::JOB_STATE_CANCELLING);
    return grpc::Status::OK;
  }

  grpc::Status WatchJob(grpc::ServerContext* context, const v1::WatchJobRequest* request,
                        grpc::ServerWriter<v1::JobEvent>* writer) override {
    std::vector<v1::JobEvent> events;
    int breaks_after = -1;
    bool holds = false;
    {
      MutexLock lock(s_.mu_);
      s_.watched_after_.push_back(request->after_revision());
      for (const v1::JobEvent& event : s_.script_.events) {
        const bool is_progress = event.revision() == 0;
        if (is_progress ? request->include_progress()
                        : event.revision() > request->after_revision()) {
          events.push_back(event);
        }
      }
      if (!s_.script_.watch_breaks.empty()) {
        breaks_after = s_.script_.watch_breaks.front();
        s_.script_.watch_breaks.pop_front();
      }
      holds = s_.script_.watch_holds;
    }
    for (size_t i = 0; i < events.size(); ++i) {
      if (static_cast<int>(i) == breaks_after) return Broken();
      if (!writer->Write(events[i])) return grpc::Status::CANCELLED;
    }
    MutexLock lock(s_.mu_);
    ++s_.open_watches_;
    while (holds && !context->IsCancelled()) s_.tick_.WaitFor(s_.mu_, absl::Milliseconds(5));
    --s_.open_watches_;
    return grpc::Status::OK;
  }

  grpc::Status GetReport(grpc::ServerContext*, const v1::GetReportRequest* request,
                         v1::Report* report) override {
    MutexLock lock(s_.mu_);
    if (grpc::Status failure = s_.NextFailure(); !failure.ok()) return failure;
    const v1::Job* const found = s_.FindJob(request->job());
    if (found == nullptr) return NotFound("job", request->job());
    *report = s_.script_.report;
    *report->mutable_job() = *found;
    return grpc::Status::OK;
  }

  grpc::Status GetJobCost(grpc::ServerContext*, const v1::GetJobCostRequest*,
                          v1::Ledger* ledger) override {
    MutexLock lock(s_.mu_);
    *ledger = s_.script_.ledger;
    return grpc::Status::OK;
  }

 private:
  ScriptedServer& s_;
};

class ScriptedServer::Tasks : public v1::TaskService::Service {
 public:
  explicit Tasks(ScriptedServer* server) : s_(*server) {}

  grpc::Status GetTask(grpc::ServerContext*, const v1::GetTaskRequest* request,
                       v1::Task* task) override {
    MutexLock lock(s_.mu_);
    for (const v1::Task& candidate : s_.script_.tasks) {
      if (candidate.id() != request->task()) continue;
      *task = candidate;
      return grpc::Status::OK;
    }
    return NotFound("task", request->task());
  }

  grpc::Status ExplainTask(grpc::ServerContext*, const v1::ExplainTaskRequest* request,
                           v1::TaskExplanation* explanation) override {
    MutexLock lock(s_.mu_);
    *explanation = s_.script_.task_explanation;
    explanation->set_job(request->job());
    explanation->set_task(request->task());
    return grpc::Status::OK;
  }

  grpc::Status ListTasks(grpc::ServerContext*, const v1::ListTasksRequest* request,
                         v1::ListTasksResponse* response) override {
    MutexLock lock(s_.mu_);
    response->set_next_page_token(Paginate(
        s_.script_.tasks, request->page_token(),
        std::min<int64_t>(request->page_size(), s_.script_.page_size), response->mutable_tasks()));
    return grpc::Status::OK;
  }

  grpc::Status ReadLog(grpc::ServerContext*, const v1::ReadLogRequest* request,
                       grpc::ServerWriter<v1::ReadLogResponse>* writer) override {
    MutexLock lock(s_.mu_);
    const auto log = s_.script_.logs.find(request->task());
    if (log == s_.script_.logs.end()) return NotFound("log of task", request->task());
    // Three bytes a chunk, so that even a short log takes several.
    for (size_t at = static_cast<size_t>(request->offset()); at < log->second.size(); at += 3) {
      v1::ReadLogResponse chunk;
      chunk.set_offset(static_cast<int64_t>(at));
      chunk.set_data(log->second.substr(at, 3));
      writer->Write(chunk);
    }
    return grpc::Status::OK;
  }

  grpc::Status ReadSeries(grpc::ServerContext*, const v1::ReadSeriesRequest* request,
                          v1::ReadSeriesResponse* response) override {
    MutexLock lock(s_.mu_);
    const auto series = s_.script_.series.find(request->task());
    if (series == s_.script_.series.end()) return NotFound("series of task", request->task());
    *response->mutable_series() = series->second;
    return grpc::Status::OK;
  }

 private:
  ScriptedServer& s_;
};

class ScriptedServer::Artifacts : public v1::ArtifactService::Service {
 public:
  explicit Artifacts(ScriptedServer* server) : s_(*server) {}

  grpc::Status GetArtifact(grpc::ServerContext*, const v1::GetArtifactRequest* request,
                           v1::Artifact* artifact) override {
    MutexLock lock(s_.mu_);
    const auto found = s_.script_.artifacts.find(request->digest());
    if (found == s_.script_.artifacts.end()) return NotFound("artifact", request->digest());
    *artifact = found->second;
    return grpc::Status::OK;
  }

  grpc::Status ListArtifacts(grpc::ServerContext*, const v1::ListArtifactsRequest*,
                             v1::ListArtifactsResponse* response) override {
    MutexLock lock(s_.mu_);
    for (const auto& [digest, artifact] : s_.script_.artifacts) {
      *response->add_artifacts() = artifact;
    }
    return grpc::Status::OK;
  }

  grpc::Status Download(grpc::ServerContext*, const v1::DownloadRequest* request,
                        grpc::ServerWriter<v1::DownloadResponse>* writer) override {
    MutexLock lock(s_.mu_);
    const auto blob = s_.script_.blobs.find(request->digest());
    if (blob == s_.script_.blobs.end()) return NotFound("blob", request->digest());
    const int64_t breaks_after = NextTransferBreak();
    int64_t sent = 0;
    for (size_t at = static_cast<size_t>(request->offset()); at < blob->second.size(); at += 1000) {
      if (breaks_after >= 0 && sent >= breaks_after) return Broken();
      v1::DownloadResponse chunk;
      chunk.set_offset(static_cast<int64_t>(at));
      chunk.set_data(blob->second.substr(at, 1000));
      sent += static_cast<int64_t>(chunk.data().size());
      writer->Write(chunk);
    }
    return grpc::Status::OK;
  }

  grpc::Status QueryUpload(grpc::ServerContext*, const v1::QueryUploadRequest* request,
                           v1::QueryUploadResponse* response) override {
    MutexLock lock(s_.mu_);
    response->set_complete(s_.script_.blobs.count(request->digest()) > 0);
    if (s_.script_.stale_queries > 0) {
      --s_.script_.stale_queries;
    } else {
      response->set_committed_bytes(static_cast<int64_t>(s_.uploads_[request->upload_id()].size()));
    }
    return grpc::Status::OK;
  }

  grpc::Status Upload(grpc::ServerContext*, grpc::ServerReader<v1::UploadRequest>* reader,
                      v1::UploadResponse* response) override {
    MutexLock lock(s_.mu_);
    const int64_t breaks_after = NextTransferBreak();
    v1::UploadRequest first;
    v1::UploadRequest request;
    std::string* bytes = nullptr;
    while (reader->Read(&request)) {
      if (bytes == nullptr) {
        first = request;
        bytes = &s_.uploads_[request.upload_id()];
      }
      if (request.offset() != static_cast<int64_t>(bytes->size())) {
        return {grpc::StatusCode::OUT_OF_RANGE, "wrong offset"};
      }
      bytes->append(request.data());
      if (breaks_after >= 0 && static_cast<int64_t>(bytes->size()) >= breaks_after) {
        return Broken();
      }
    }
    if (Digest::OfBytes(*bytes).str() != first.digest()) {
      return {grpc::StatusCode::DATA_LOSS, "wrong digest"};
    }
    s_.script_.blobs[first.digest()] = *bytes;
    v1::Artifact& artifact = s_.script_.artifacts[first.digest()];
    artifact.set_digest(first.digest());
    artifact.set_type(first.type());
    artifact.set_size_bytes(first.size_bytes());
    response->set_digest(first.digest());
    return grpc::Status::OK;
  }

 private:
  int64_t NextTransferBreak() ABSL_EXCLUSIVE_LOCKS_REQUIRED(s_.mu_) {
    if (s_.script_.transfer_breaks.empty()) return -1;
    const int64_t bytes = s_.script_.transfer_breaks.front();
    s_.script_.transfer_breaks.pop_front();
    return bytes;
  }

  ScriptedServer& s_;
};

class ScriptedServer::Fleet : public v1::FleetService::Service {
 public:
  explicit Fleet(ScriptedServer* server) : s_(*server) {}

  grpc::Status ListWorkers(grpc::ServerContext*, const v1::ListWorkersRequest* request,
                           v1::ListWorkersResponse* response) override {
    MutexLock lock(s_.mu_);
    if (grpc::Status failure = s_.NextFailure(); !failure.ok()) return failure;
    response->set_next_page_token(Paginate(s_.script_.workers, request->page_token(),
                                           s_.script_.page_size, response->mutable_workers()));
    return grpc::Status::OK;
  }
  grpc::Status DrainWorker(grpc::ServerContext*, const v1::DrainWorkerRequest* request,
                           v1::Worker* worker) override {
    return SetDraining(request->worker_id(), true, worker);
  }
  grpc::Status ResumeWorker(grpc::ServerContext*, const v1::ResumeWorkerRequest* request,
                            v1::Worker* worker) override {
    return SetDraining(request->worker_id(), false, worker);
  }
  grpc::Status ListLedgers(grpc::ServerContext*, const v1::ListLedgersRequest*,
                           v1::ListLedgersResponse* response) override {
    MutexLock lock(s_.mu_);
    *response->add_ledgers() = s_.script_.ledger;
    return grpc::Status::OK;
  }

 private:
  grpc::Status SetDraining(const std::string& id, bool draining, v1::Worker* worker) {
    MutexLock lock(s_.mu_);
    for (v1::Worker& candidate : s_.script_.workers) {
      if (candidate.info().worker_id() != id) continue;
      candidate.set_draining(draining);
      candidate.set_state(draining ? v1::WORKER_STATE_DRAINING : v1::WORKER_STATE_READY);
      *worker = candidate;
      return grpc::Status::OK;
    }
    return NotFound("worker", id);
  }

  ScriptedServer& s_;
};

class ScriptedServer::Cache : public v1::CacheService::Service {
 public:
  explicit Cache(ScriptedServer* server) : s_(*server) {}

  grpc::Status ExplainKey(grpc::ServerContext*, const v1::ExplainKeyRequest* request,
                          v1::KeyExplanation* explanation) override {
    MutexLock lock(s_.mu_);
    s_.explained_ = *request;
    *explanation = s_.script_.explanation;
    return grpc::Status::OK;
  }
  grpc::Status GetCacheStats(grpc::ServerContext*, const v1::GetCacheStatsRequest*,
                             v1::CacheStats* stats) override {
    MutexLock lock(s_.mu_);
    *stats = s_.script_.cache_stats;
    return grpc::Status::OK;
  }
  grpc::Status EvictResult(grpc::ServerContext*, const v1::EvictResultRequest*,
                           v1::EvictResultResponse* response) override {
    response->set_evicted(true);
    return grpc::Status::OK;
  }

 private:
  ScriptedServer& s_;
};

ScriptedServer::ScriptedServer()
    : jobs_(std::make_unique<Jobs>(this)),
      tasks_(std::make_unique<Tasks>(this)),
      artifacts_(std::make_unique<Artifacts>(this)),
      fleet_(std::make_unique<Fleet>(this)),
      cache_(std::make_unique<Cache>(this)) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(jobs_.get());
  builder.RegisterService(tasks_.get());
  builder.RegisterService(artifacts_.get());
  builder.RegisterService(fleet_.get());
  builder.RegisterService(cache_.get());
  server_ = builder.BuildAndStart();
  DISTILL_CHECK(server_ != nullptr && port != 0, "a free port of the loopback can be had");
  address_ = absl::StrCat("127.0.0.1:", port);
}

ScriptedServer::~ScriptedServer() { server_->Shutdown(); }

grpc::Status ScriptedServer::NextFailure() {
  if (script_.failures.empty()) return grpc::Status::OK;
  const grpc::Status status = script_.failures.front();
  script_.failures.pop_front();
  return status;
}

const v1::Job* ScriptedServer::FindJob(const std::string& id) const {
  for (const v1::Job& job : script_.jobs) {
    if (job.id() == id) return &job;
  }
  return nullptr;
}

std::vector<v1::CreateJobRequest> ScriptedServer::created() const {
  MutexLock lock(mu_);
  return created_;
}

v1::ExplainKeyRequest ScriptedServer::explained() const {
  MutexLock lock(mu_);
  return explained_;
}

std::vector<int64_t> ScriptedServer::watched_after() const {
  MutexLock lock(mu_);
  return watched_after_;
}

std::vector<std::string> ScriptedServer::cancelled() const {
  MutexLock lock(mu_);
  return cancelled_;
}

bool ScriptedServer::watching() const {
  MutexLock lock(mu_);
  return open_watches_ > 0;
}

}  // namespace distill::client
