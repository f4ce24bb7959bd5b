#include "client/client.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/connection_timing.h"
#include "base/digest.h"
#include "base/error_details.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "proto/status/grpc_status.h"
#include "transport/grpc_runtime.h"

namespace distill::client {
namespace {

constexpr int kPageSize = 1000;
// Half of what the protocol allows, so that a message stays small beside gRPC's own limit.
constexpr size_t kChunkBytes = 512 * 1024;
// Reports hold hundreds of models and rendered Markdown; gRPC's default of 4 MiB may fall short.
constexpr int kMaxMessageBytes = 64 << 20;

// Silence of one server is then no reason to wait for it: another one may lead by now.
constexpr absl::Duration kLongestTryOfSeveral = absl::Seconds(5);
constexpr absl::Duration kLongestBackoffOfSeveral = absl::Seconds(1);
constexpr absl::Duration kLeastPatienceWithSeveral = absl::Seconds(30);

ClientOptions ForSeveralServers(ClientOptions options) {
  if (ServerRoute(options.server).size() < 2) return options;
  options.call_timeout = std::min(options.call_timeout, kLongestTryOfSeveral);
  options.longest_backoff = std::min(options.longest_backoff, kLongestBackoffOfSeveral);
  options.retry_for = std::max(options.retry_for, kLeastPatienceWithSeveral);
  return options;
}

std::shared_ptr<grpc::Channel> ConnectTo(const std::string& server, const ClientOptions& options,
                                         bool one_of_several) {
  KeepGrpcRunning();
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  // Reconnect about as often as calls are tried again, instead of gRPC's up to two minutes.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, one_of_several ? 1000 : 3000);
  // A watch may be silent for hours; this notices a server that vanished without a word.
  // Pings go on however long nothing else is sent; sooner where another server may have taken over.
  const absl::Duration interval = one_of_several ? kFailoverPingInterval : kClientPingInterval;
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS,
                   static_cast<int>(absl::ToInt64Milliseconds(interval)));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                   static_cast<int>(absl::ToInt64Milliseconds(one_of_several ? kFailoverPingTimeout
                                                                             : kPingTimeout)));
  ApplyTo(options.security, arguments);
  return grpc::CreateCustomChannel(
      server, options.credentials ? options.credentials : grpc::InsecureChannelCredentials(),
      arguments);
}

std::vector<std::shared_ptr<grpc::Channel>> Connect(const ServerRoute& route,
                                                    const ClientOptions& options) {
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (size_t i = 0; i < route.size(); ++i) {
    channels.push_back(ConnectTo(route.address(i), options, route.size() > 1));
  }
  return channels;
}

// The server is away or too slow, or full for now and said when it may not be.
bool MayRetry(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         (absl::IsResourceExhausted(status) && DetailsOf(status).retry_delay.has_value());
}

// Writes to a stream until the file's end. False when the stream broke, or the file changed size.
bool SendFrom(std::ifstream& file, v1::UploadRequest request,
              grpc::ClientWriterInterface<v1::UploadRequest>& writer) {
  std::string buffer(kChunkBytes, '\0');
  int64_t offset = request.offset();
  do {
    file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    const auto count = static_cast<size_t>(file.gcount());
    request.set_offset(offset);
    request.set_data(buffer.data(), count);
    if (!writer.Write(request)) return false;
    offset += static_cast<int64_t>(count);
    request.Clear();
  } while (file);
  return true;
}

}  // namespace

bool IsTerminal(v1::JobState state) {
  return state == v1::JOB_STATE_SUCCEEDED || state == v1::JOB_STATE_FAILED ||
         state == v1::JOB_STATE_CANCELLED;
}

bool IsTerminal(v1::TaskState state) {
  return state == v1::TASK_STATE_SUCCEEDED || state == v1::TASK_STATE_FAILED ||
         state == v1::TASK_STATE_CANCELLED;
}

Client::Client(ClientOptions options, ClientDependencies dependencies)
    : options_(ForSeveralServers(std::move(options))),
      dependencies_(std::move(dependencies)),
      route_(options_.server),
      channels_(Connect(route_, options_)),
      jobs_(route_, channels_),
      tasks_(route_, channels_),
      artifacts_(route_, channels_),
      fleet_(route_, channels_),
      datasets_(route_, channels_),
      cache_(route_, channels_),
      auth_(route_, channels_) {}

Backoff Client::NewBackoff() {
  uint64_t seed = 0;
  // The seed only spreads clients out, so text that is no number does no harm.
  (void)absl::SimpleHexAtoi(dependencies_.ids->RandomHex(8), &seed);
  return Backoff(options_.first_backoff, options_.longest_backoff, seed);
}

void Client::Prepare(grpc::ClientContext& context) const {
  if (!options_.traceparent.empty()) context.AddMetadata("traceparent", options_.traceparent);
}

absl::Status Client::Annotated(absl::string_view action, const absl::Status& status) const {
  if (status.ok()) return status;
  const absl::string_view cause =
      absl::IsUnimplemented(status)
          ? "the server is older than this program and does not know the call; upgrade it"
          : status.message();
  // A server that says itself what it cannot do is not said twice.
  const std::string prefix =
      absl::StartsWith(cause, "cannot ") ? "" : absl::StrCat("cannot ", action, ": ");
  return WithDetails(
      absl::Status(status.code(), absl::StrCat(prefix, cause, "; server=", options_.server)),
      DetailsOf(status));
}

absl::Status Client::Retry(absl::Duration patience, const std::function<StreamTry()>& attempt) {
  std::optional<Backoff> backoff;
  MonotonicTime last_advance = dependencies_.clock->Now();
  while (true) {
    if (dependencies_.interrupt->requested()) return absl::CancelledError("interrupted");
    const size_t asked = route_.current();
    const StreamTry outcome = attempt();
    if (outcome.status.ok()) return outcome.status;
    if (dependencies_.interrupt->requested()) return absl::CancelledError("interrupted");
    if (!MayRetry(outcome.status)) return outcome.status;
    route_.LeaveFrom(asked);
    const MonotonicTime now = dependencies_.clock->Now();
    if (outcome.advanced) {
      last_advance = now;
      backoff.reset();
    }
    const bool is_first = !backoff.has_value();
    if (is_first) backoff.emplace(NewBackoff());
    // A server that says when to come back knows better; another one need not be waited for.
    const absl::Duration asked_for =
        route_.current() == asked ? DetailsOf(outcome.status).retry_delay.value_or(absl::Duration())
                                  : absl::ZeroDuration();
    const absl::Duration delay = std::max(backoff->Next(), asked_for);
    if (now + delay - last_advance > patience) return outcome.status;
    if (is_first && dependencies_.on_retry) dependencies_.on_retry(outcome.status);
    dependencies_.interrupt->WaitFor(delay);
  }
}

template <typename Service, typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Client::Call(absl::string_view action, const ServiceStubs<Service>& stubs,
                                      grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                                   const Request&, Response*),
                                      const Request& request) {
  Response response;
  const absl::Status status = Retry(options_.retry_for, [&]() -> StreamTry {
    grpc::ClientContext context;
    Prepare(context);
    const absl::Time deadline = dependencies_.clock->WallNow() + options_.call_timeout;
    context.set_deadline(absl::ToChronoTime(deadline));
    const Interrupt::Scope scope(*dependencies_.interrupt, [&context] { context.TryCancel(); });
    return {FromGrpcStatus((stubs.operator->()->*method)(&context, request, &response))};
  });
  if (!status.ok()) return Annotated(action, status);
  return response;
}

absl::StatusOr<v1::Job> Client::CreateJob(const v1::JobSpec& spec, const std::string& request_id,
                                          Unplaceable unplaceable) {
  v1::CreateJobRequest request;
  request.set_allow_unplaceable(unplaceable == Unplaceable::kAccept);
  *request.mutable_spec() = spec;
  request.set_request_id(request_id);
  return Call("submit job", jobs_, &v1::JobService::StubInterface::CreateJob, request);
}

absl::StatusOr<v1::Job> Client::ValidateJob(const v1::JobSpec& spec) {
  v1::CreateJobRequest request;
  *request.mutable_spec() = spec;
  request.set_request_id(dependencies_.ids->RandomHex(16));
  request.set_validate_only(true);
  return Call("check job", jobs_, &v1::JobService::StubInterface::CreateJob, request);
}

absl::StatusOr<v1::JobPlan> Client::PlanJob(const v1::JobSpec& spec) {
  v1::PlanJobRequest request;
  *request.mutable_spec() = spec;
  return Call("plan job", jobs_, &v1::JobService::StubInterface::PlanJob, request);
}

absl::StatusOr<v1::Job> Client::GetJob(const std::string& job) {
  v1::GetJobRequest request;
  request.set_job(job);
  return Call("get job", jobs_, &v1::JobService::StubInterface::GetJob, request);
}

absl::StatusOr<std::vector<v1::Job>> Client::ListJobs(const std::string& project, int limit) {
  v1::ListJobsRequest request;
  request.set_project(project);
  std::vector<v1::Job> jobs;
  do {
    request.set_page_size(std::min(limit - static_cast<int>(jobs.size()), kPageSize));
    DISTILL_ASSIGN_OR_RETURN(
        v1::ListJobsResponse page,
        Call("list jobs", jobs_, &v1::JobService::StubInterface::ListJobs, request));
    for (v1::Job& job : *page.mutable_jobs()) jobs.push_back(std::move(job));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && static_cast<int>(jobs.size()) < limit);
  return jobs;
}

absl::StatusOr<v1::Job> Client::CancelJob(const std::string& job) {
  v1::CancelJobRequest request;
  request.set_job(job);
  request.set_request_id(dependencies_.ids->RandomHex(16));
  return Call("cancel job", jobs_, &v1::JobService::StubInterface::CancelJob, request);
}

absl::StatusOr<v1::Job> Client::PauseJob(const std::string& job) {
  v1::PauseJobRequest request;
  request.set_job(job);
  request.set_request_id(dependencies_.ids->RandomHex(16));
  return Call("pause job", jobs_, &v1::JobService::StubInterface::PauseJob, request);
}

absl::StatusOr<v1::Job> Client::ResumeJob(const std::string& job) {
  v1::ResumeJobRequest request;
  request.set_job(job);
  request.set_request_id(dependencies_.ids->RandomHex(16));
  return Call("resume job", jobs_, &v1::JobService::StubInterface::ResumeJob, request);
}

absl::StatusOr<v1::Job> Client::RetryJob(const std::string& job, const std::string& request_id) {
  v1::RetryJobRequest request;
  request.set_job(job);
  request.set_request_id(request_id);
  return Call("retry job", jobs_, &v1::JobService::StubInterface::RetryJob, request);
}

absl::Status Client::DeleteJob(const std::string& job) {
  v1::DeleteJobRequest request;
  request.set_job(job);
  request.set_request_id(dependencies_.ids->RandomHex(16));
  const absl::Status status =
      Call("delete job", jobs_, &v1::JobService::StubInterface::DeleteJob, request).status();
  // Gone is gone, and the reply to an earlier try may have been lost.
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::StatusOr<v1::Report> Client::GetReport(const std::string& job) {
  v1::GetReportRequest request;
  request.set_job(job);
  return Call("get report", jobs_, &v1::JobService::StubInterface::GetReport, request);
}

absl::StatusOr<v1::Job> Client::WatchJob(const std::string& job, int64_t after_revision,
                                         WatchProgress progress,
                                         const std::function<void(const v1::JobEvent&)>& on_event) {
  // Also checks, with the short patience of a first call, that there is such a job and a server.
  DISTILL_ASSIGN_OR_RETURN(v1::Job last, GetJob(job));
  int64_t revision = after_revision;
  const absl::Status status = Retry(options_.reconnect_for, [&]() -> StreamTry {
    grpc::ClientContext context;
    const Interrupt::Scope scope(*dependencies_.interrupt, [&context] { context.TryCancel(); });
    v1::WatchJobRequest request;
    request.set_job(job);
    request.set_after_revision(revision);
    request.set_include_progress(progress == WatchProgress::kYes);
    const auto reader = jobs_->WatchJob(&context, request);
    bool advanced = false;
    bool finished = false;
    v1::JobEvent event;
    while (reader->Read(&event)) {
      advanced = true;
      if (event.revision() != 0) {
        if (event.revision() <= revision) continue;  // Sent again after a reconnection.
        revision = event.revision();
      }
      if (event.has_job()) {
        last = event.job();
        finished = IsTerminal(last.state());
      }
      on_event(event);
    }
    const absl::Status ended = FromGrpcStatus(reader->Finish());
    if (finished) return {absl::OkStatus(), advanced};
    if (!ended.ok()) return {ended, advanced};
    // An end without the last event: the caller had seen it already, or the server is stopping.
    absl::StatusOr<v1::Job> now = GetJob(job);
    if (!now.ok()) return {now.status(), advanced};
    last = *std::move(now);
    if (IsTerminal(last.state()) && last.revision() <= revision) return {absl::OkStatus(), true};
    return {absl::UnavailableError("the server ended the watch"), advanced};
  });
  if (!status.ok()) return Annotated("watch job", status);
  return last;
}

absl::StatusOr<v1::Task> Client::GetTask(const std::string& job, const std::string& task) {
  v1::GetTaskRequest request;
  request.set_job(job);
  request.set_task(task);
  return Call("get task", tasks_, &v1::TaskService::StubInterface::GetTask, request);
}

absl::StatusOr<v1::TaskExplanation> Client::ExplainTask(const std::string& job,
                                                        const std::string& task) {
  v1::ExplainTaskRequest request;
  request.set_job(job);
  request.set_task(task);
  return Call("explain task", tasks_, &v1::TaskService::StubInterface::ExplainTask, request);
}

absl::StatusOr<std::vector<v1::Task>> Client::ListTasks(const std::string& job) {
  v1::ListTasksRequest request;
  request.set_job(job);
  request.set_page_size(kPageSize);
  std::vector<v1::Task> tasks;
  do {
    DISTILL_ASSIGN_OR_RETURN(
        v1::ListTasksResponse page,
        Call("list tasks", tasks_, &v1::TaskService::StubInterface::ListTasks, request));
    for (v1::Task& task : *page.mutable_tasks()) tasks.push_back(std::move(task));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return tasks;
}

absl::StatusOr<int64_t> Client::ReadLog(const std::string& job, const std::string& task,
                                        int attempt, int64_t offset,
                                        const std::function<void(absl::string_view)>& sink) {
  const absl::Status status = Retry(options_.retry_for, [&]() -> StreamTry {
    grpc::ClientContext context;
    const Interrupt::Scope scope(*dependencies_.interrupt, [&context] { context.TryCancel(); });
    v1::ReadLogRequest request;
    request.set_job(job);
    request.set_task(task);
    request.set_attempt(attempt);
    request.set_offset(offset);
    const auto reader = tasks_->ReadLog(&context, request);
    bool advanced = false;
    v1::ReadLogResponse chunk;
    while (reader->Read(&chunk)) {
      sink(chunk.data());
      offset = chunk.offset() + static_cast<int64_t>(chunk.data().size());
      advanced = true;
    }
    return {FromGrpcStatus(reader->Finish()), advanced};
  });
  if (!status.ok()) return Annotated("read log", status);
  return offset;
}

absl::StatusOr<LogEnd> Client::FollowLog(const std::string& job, const std::string& task,
                                         int attempt,
                                         const std::function<void(absl::string_view)>& sink) {
  LogEnd end;
  end.attempt = attempt;
  const absl::Status status = Retry(options_.reconnect_for, [&]() -> StreamTry {
    grpc::ClientContext context;
    Prepare(context);
    const Interrupt::Scope scope(*dependencies_.interrupt, [&context] { context.TryCancel(); });
    v1::ReadLogRequest request;
    request.set_job(job);
    request.set_task(task);
    request.set_attempt(end.attempt);
    request.set_offset(end.offset);
    request.set_follow(true);
    const auto reader = tasks_->ReadLog(&context, request);
    bool advanced = false;
    v1::ReadLogResponse chunk;
    while (reader->Read(&chunk)) {
      sink(chunk.data());
      end.offset = chunk.offset() + static_cast<int64_t>(chunk.data().size());
      end.attempt = chunk.attempt();
      advanced = true;
    }
    return {FromGrpcStatus(reader->Finish()), advanced};
  });
  if (!status.ok()) return Annotated("follow log", status);
  return end;
}

absl::StatusOr<v1::Trace> Client::GetTrace(const std::string& job) {
  v1::GetTraceRequest request;
  request.set_job(job);
  return Call("get trace", jobs_, &v1::JobService::StubInterface::GetTrace, request);
}

absl::StatusOr<v1::Series> Client::ReadSeries(const std::string& job, const std::string& task) {
  v1::ReadSeriesRequest request;
  request.set_job(job);
  request.set_task(task);
  DISTILL_ASSIGN_OR_RETURN(
      v1::ReadSeriesResponse response,
      Call("read series", tasks_, &v1::TaskService::StubInterface::ReadSeries, request));
  return std::move(*response.mutable_series());
}

absl::StatusOr<v1::Artifact> Client::GetArtifact(const std::string& digest) {
  v1::GetArtifactRequest request;
  request.set_digest(digest);
  return Call("get artifact", artifacts_, &v1::ArtifactService::StubInterface::GetArtifact,
              request);
}

absl::StatusOr<std::vector<v1::Artifact>> Client::ListArtifacts(const std::string& job) {
  v1::ListArtifactsRequest request;
  request.set_job(job);
  request.set_page_size(kPageSize);
  std::vector<v1::Artifact> artifacts;
  do {
    DISTILL_ASSIGN_OR_RETURN(v1::ListArtifactsResponse page,
                             Call("list artifacts", artifacts_,
                                  &v1::ArtifactService::StubInterface::ListArtifacts, request));
    for (v1::Artifact& artifact : *page.mutable_artifacts()) {
      artifacts.push_back(std::move(artifact));
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return artifacts;
}

absl::Status Client::DownloadArtifact(const std::string& digest,
                                      const std::function<absl::Status(absl::string_view)>& sink) {
  DISTILL_ASSIGN_OR_RETURN(const Digest wanted, Digest::Parse(digest));
  DigestBuilder builder;
  int64_t offset = 0;
  const absl::Status status = Retry(options_.reconnect_for, [&]() -> StreamTry {
    grpc::ClientContext context;
    const Interrupt::Scope scope(*dependencies_.interrupt, [&context] { context.TryCancel(); });
    v1::DownloadRequest request;
    request.set_digest(digest);
    request.set_offset(offset);
    request.set_caller_verifies(true);
    const auto reader = artifacts_->Download(&context, request);
    StreamTry result;
    v1::DownloadResponse chunk;
    while (result.status.ok() && reader->Read(&chunk)) {
      if (chunk.offset() != offset) {
        result.status = absl::DataLossError(absl::StrCat(
            "the server skipped bytes; want_offset=", offset, " got_offset=", chunk.offset()));
        break;
      }
      builder.Append(chunk.data());
      offset += static_cast<int64_t>(chunk.data().size());
      result = {sink(chunk.data()), true};
    }
    if (!result.status.ok()) context.TryCancel();
    const absl::Status ended = FromGrpcStatus(reader->Finish());
    if (result.status.ok()) result.status = ended;
    return result;
  });
  if (!status.ok()) return Annotated("download artifact", status);
  const Digest got = builder.Finish();
  if (got == wanted) return absl::OkStatus();
  LetServerCheck(digest);
  return absl::DataLossError(absl::StrCat(
      "cannot download artifact: its content does not match; want=", digest, " got=", got.str()));
}

void Client::LetServerCheck(const std::string& digest) {
  grpc::ClientContext context;
  const Interrupt::Scope scope(*dependencies_.interrupt, [&context] { context.TryCancel(); });
  v1::DownloadRequest request;
  request.set_digest(digest);
  const auto reader = artifacts_->Download(&context, request);
  v1::DownloadResponse chunk;
  while (reader->Read(&chunk)) {
  }
  reader->Finish();  // Whatever it says, the caller has its answer.
}

absl::Status Client::DownloadToFile(const std::string& digest, const std::string& path) {
  const std::string partial = absl::StrCat(path, ".partial-", dependencies_.ids->RandomHex(4));
  const auto failed = [&partial](const absl::Status& status) {
    (void)RemoveFile(partial);  // The first error is the one to report.
    return status;
  };
  std::ofstream file(partial, std::ios::binary);
  if (!file) return ErrnoStatus(errno, "create", partial);
  const absl::Status status =
      DownloadArtifact(digest, [&](absl::string_view bytes) -> absl::Status {
        file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        return file ? absl::OkStatus() : ErrnoStatus(errno, "write", partial);
      });
  file.close();
  if (!status.ok()) return failed(status);
  if (!file) return failed(ErrnoStatus(errno, "write", partial));
  if (absl::Status synced = SyncFile(partial); !synced.ok()) return failed(synced);
  if (absl::Status moved = RenameDurably(partial, path); !moved.ok()) return failed(moved);
  return absl::OkStatus();
}

Client::StreamTry Client::UploadOnce(const std::string& path, const v1::UploadRequest& first) {
  v1::QueryUploadRequest query;
  query.set_upload_id(first.upload_id());
  query.set_digest(first.digest());
  const absl::StatusOr<v1::QueryUploadResponse> standing =
      Call("query upload", artifacts_, &v1::ArtifactService::StubInterface::QueryUpload, query);
  v1::UploadRequest request = first;
  if (standing.ok()) {
    if (standing->complete()) return {absl::OkStatus(), true};
    request.set_offset(standing->committed_bytes());
  } else if (!absl::IsNotFound(standing.status())) {
    return {standing.status()};
  }
  std::ifstream file(path, std::ios::binary);
  file.seekg(request.offset());
  if (!file) return {ErrnoStatus(errno, "read", path)};
  grpc::ClientContext context;
  const Interrupt::Scope scope(*dependencies_.interrupt, [&context] { context.TryCancel(); });
  v1::UploadResponse response;
  const auto writer = artifacts_->Upload(&context, &response);
  if (SendFrom(file, request, *writer)) writer->WritesDone();
  const absl::Status status = FromGrpcStatus(writer->Finish());
  // A try that was thought lost got further: the next one asks again where the upload stands.
  if (absl::IsOutOfRange(status)) return {absl::UnavailableError(status.message())};
  return {status, /*advanced=*/false};
}

absl::StatusOr<std::string> Client::UploadFile(const std::string& path, v1::ArtifactType type,
                                               const std::string& project) {
  DISTILL_ASSIGN_OR_RETURN(const Digest digest, DigestOfFile(path));
  DISTILL_ASSIGN_OR_RETURN(const uint64_t size_bytes, FileSize(path));
  v1::UploadRequest first;
  first.set_upload_id(dependencies_.ids->RandomHex(16));
  first.set_digest(digest.str());
  first.set_size_bytes(static_cast<int64_t>(size_bytes));
  first.set_type(type);
  first.set_project(project);
  const absl::Status status =
      Retry(options_.reconnect_for, [&]() -> StreamTry { return UploadOnce(path, first); });
  if (!status.ok()) return Annotated(absl::StrCat("upload ", path), status);
  return digest.str();
}

absl::StatusOr<v1::Dataset> Client::CreateDataset(const v1::CreateDatasetRequest& request) {
  return Call("add data set", datasets_, &v1::DatasetService::StubInterface::CreateDataset,
              request);
}

absl::StatusOr<v1::Dataset> Client::GetDataset(const std::string& name) {
  v1::GetDatasetRequest request;
  request.set_name(name);
  return Call("get data set", datasets_, &v1::DatasetService::StubInterface::GetDataset, request);
}

absl::StatusOr<std::vector<v1::Dataset>> Client::ListDatasets() {
  v1::ListDatasetsRequest request;
  request.set_page_size(kPageSize);
  std::vector<v1::Dataset> datasets;
  do {
    DISTILL_ASSIGN_OR_RETURN(v1::ListDatasetsResponse page,
                             Call("list data sets", datasets_,
                                  &v1::DatasetService::StubInterface::ListDatasets, request));
    for (v1::Dataset& dataset : *page.mutable_datasets()) datasets.push_back(std::move(dataset));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return datasets;
}

absl::StatusOr<v1::Dataset> Client::VerifyDataset(const std::string& name,
                                                  const std::string& request_id) {
  v1::VerifyDatasetRequest request;
  request.set_name(name);
  request.set_request_id(request_id);
  return Call("verify data set", datasets_, &v1::DatasetService::StubInterface::VerifyDataset,
              request);
}

absl::Status Client::DeleteDataset(const std::string& name) {
  v1::DeleteDatasetRequest request;
  request.set_name(name);
  request.set_allow_missing(true);
  return Call("remove data set", datasets_, &v1::DatasetService::StubInterface::DeleteDataset,
              request)
      .status();
}

absl::StatusOr<v1::CreateTokenResponse> Client::CreateToken(const v1::CreateTokenRequest& request) {
  return Call("create token", auth_, &v1::AuthService::StubInterface::CreateToken, request);
}

absl::StatusOr<std::vector<v1::Token>> Client::ListTokens() {
  v1::ListTokensRequest request;
  request.set_page_size(kPageSize);
  std::vector<v1::Token> tokens;
  do {
    DISTILL_ASSIGN_OR_RETURN(
        v1::ListTokensResponse page,
        Call("list tokens", auth_, &v1::AuthService::StubInterface::ListTokens, request));
    for (v1::Token& token : *page.mutable_tokens()) tokens.push_back(std::move(token));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return tokens;
}

absl::StatusOr<v1::Token> Client::RevokeToken(const std::string& id) {
  v1::RevokeTokenRequest request;
  request.set_token(id);
  return Call("revoke token", auth_, &v1::AuthService::StubInterface::RevokeToken, request);
}

absl::StatusOr<v1::WhoAmIResponse> Client::WhoAmI() {
  return Call("ask who I am", auth_, &v1::AuthService::StubInterface::WhoAmI, v1::WhoAmIRequest());
}

absl::StatusOr<std::vector<v1::Worker>> Client::ListWorkers() {
  v1::ListWorkersRequest request;
  request.set_page_size(kPageSize);
  std::vector<v1::Worker> workers;
  do {
    DISTILL_ASSIGN_OR_RETURN(
        v1::ListWorkersResponse page,
        Call("list workers", fleet_, &v1::FleetService::StubInterface::ListWorkers, request));
    for (v1::Worker& worker : *page.mutable_workers()) workers.push_back(std::move(worker));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return workers;
}

absl::StatusOr<v1::Worker> Client::QuarantineWorker(const std::string& worker_id,
                                                    const std::string& reason) {
  v1::QuarantineWorkerRequest request;
  request.set_worker_id(worker_id);
  request.set_reason(reason);
  return Call("quarantine worker", fleet_, &v1::FleetService::StubInterface::QuarantineWorker,
              request);
}

absl::StatusOr<std::vector<v1::Quota>> Client::ListQuotas() {
  DISTILL_ASSIGN_OR_RETURN(v1::ListQuotasResponse response,
                           Call("list quotas", fleet_, &v1::FleetService::StubInterface::ListQuotas,
                                v1::ListQuotasRequest()));
  std::vector<v1::Quota> quotas;
  for (v1::Quota& quota : *response.mutable_quotas()) quotas.push_back(std::move(quota));
  return quotas;
}

absl::StatusOr<v1::Quota> Client::SetQuota(const v1::Quota& quota) {
  v1::SetQuotaRequest request;
  *request.mutable_quota() = quota;
  request.set_request_id(dependencies_.ids->RandomHex(16));
  return Call("set quota", fleet_, &v1::FleetService::StubInterface::SetQuota, request);
}

absl::Status Client::DeleteQuota(const std::string& project) {
  v1::DeleteQuotaRequest request;
  request.set_project(project);
  request.set_request_id(dependencies_.ids->RandomHex(16));
  return Call("delete quota", fleet_, &v1::FleetService::StubInterface::DeleteQuota, request)
      .status();
}

absl::StatusOr<v1::Ledger> Client::GetJobCost(const std::string& job) {
  v1::GetJobCostRequest request;
  request.set_job(job);
  return Call("get job cost", jobs_, &v1::JobService::StubInterface::GetJobCost, request);
}

absl::StatusOr<std::vector<v1::Ledger>> Client::ListLedgers(const std::string& project) {
  v1::ListLedgersRequest request;
  request.set_project(project);
  DISTILL_ASSIGN_OR_RETURN(
      v1::ListLedgersResponse response,
      Call("list ledgers", fleet_, &v1::FleetService::StubInterface::ListLedgers, request));
  std::vector<v1::Ledger> ledgers;
  for (v1::Ledger& ledger : *response.mutable_ledgers()) ledgers.push_back(std::move(ledger));
  return ledgers;
}

absl::StatusOr<v1::KeyExplanation> Client::ExplainKey(const v1::ExplainKeyRequest& request) {
  return Call("explain key", cache_, &v1::CacheService::StubInterface::ExplainKey, request);
}

absl::StatusOr<v1::CacheStats> Client::GetCacheStats(const std::string& project) {
  v1::GetCacheStatsRequest request;
  request.set_project(project);
  return Call("get cache statistics", cache_, &v1::CacheService::StubInterface::GetCacheStats,
              request);
}

absl::StatusOr<v1::EvictResultResponse> Client::EvictResult(v1::EvictResultRequest request) {
  request.set_request_id(dependencies_.ids->RandomHex(16));
  return Call("evict result", cache_, &v1::CacheService::StubInterface::EvictResult, request);
}

absl::StatusOr<v1::Worker> Client::DrainWorker(const std::string& worker_id,
                                               absl::Duration deadline) {
  v1::DrainWorkerRequest request;
  request.set_worker_id(worker_id);
  if (deadline < absl::InfiniteDuration()) {
    request.set_deadline_seconds(absl::ToDoubleSeconds(deadline));
  }
  return Call("drain worker", fleet_, &v1::FleetService::StubInterface::DrainWorker, request);
}

absl::StatusOr<v1::Worker> Client::ResumeWorker(const std::string& worker_id) {
  v1::ResumeWorkerRequest request;
  request.set_worker_id(worker_id);
  return Call("resume worker", fleet_, &v1::FleetService::StubInterface::ResumeWorker, request);
}

}  // namespace distill::client
