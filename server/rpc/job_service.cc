#include "server/rpc/job_service.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/error_details.h"
#include "base/error_reasons.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/trace_context.h"
#include "server/planner/defaults.h"
#include "server/planner/presets.h"
#include "server/planner/spec_validation.h"
#include "server/report/report_builder.h"
#include "server/report/trace_builder.h"
#include "server/rpc/convert.h"
#include "server/rpc/corrupt_blobs.h"
#include "server/rpc/given_artifacts.h"
#include "server/rpc/host_class.h"
#include "server/rpc/ledger_messages.h"
#include "server/rpc/page_token.h"
#include "server/rpc/read_mask.h"
#include "server/rpc/stored_results.h"
#include "server/rpc/watch_reactor.h"

namespace distill::server {
namespace {

constexpr int kDefaultJobPage = 100;
constexpr int kJobIdBytes = 6;
// Space is made by people or by the collector, not within a second.
constexpr absl::Duration kDiskRetryDelay = absl::Minutes(1);

// Refuses new work on a disk that is nearly full: its last room is for what was accepted.
absl::Status CheckRoomForJobs(const RpcLimits& limits) {
  if (limits.min_free_disk_bytes <= 0) return absl::OkStatus();
  DISTILL_ASSIGN_OR_RETURN(const uint64_t free_bytes, FreeDiskBytes(limits.data_dir));
  if (free_bytes >= static_cast<uint64_t>(limits.min_free_disk_bytes)) return absl::OkStatus();
  const absl::Status status = absl::ResourceExhaustedError(absl::StrCat(
      "cannot accept job: the disk is nearly full; free space on it, or start the server with a "
      "smaller --min-free-disk-bytes; data_dir=",
      limits.data_dir, " free_bytes=", free_bytes, " min_free_bytes=", limits.min_free_disk_bytes));
  return WithRetryDelay(
      WithQuota(WithReason(status, reason::kDiskNearlyFull), "disk", "bytes that must stay free"),
      kDiskRetryDelay);
}

absl::StatusOr<JobDatasets> Inspect(const v1::JobSpec& resolved, DatasetCatalog& datasets) {
  JobDatasets infos;
  DISTILL_ASSIGN_OR_RETURN(infos.main, datasets.Inspect(resolved.dataset()));
  for (int i = 0; i < resolved.evaluation().out_of_distribution_size(); ++i) {
    const std::string field = absl::StrCat("evaluation.out_of_distribution[", i, "].dataset");
    DISTILL_ASSIGN_OR_RETURN(
        DatasetInfo info,
        datasets.Inspect(resolved.evaluation().out_of_distribution(i).dataset(), field));
    infos.out_of_distribution.push_back(std::move(info));
  }
  for (int i = 0; i < resolved.few_shot_size(); ++i) {
    const std::string field = absl::StrCat("few_shot[", i, "].dataset");
    DISTILL_ASSIGN_OR_RETURN(DatasetInfo info,
                             datasets.Inspect(resolved.few_shot(i).dataset(), field));
    infos.few_shot.push_back(std::move(info));
  }
  return infos;
}

// Where the job's span belongs: below the caller's, or in a trace of its own.
TraceContext JobTrace(const std::string& traceparent, const JobId& job) {
  const std::optional<TraceContext> given = ParseTraceparent(traceparent);
  if (given.has_value()) return *given;
  return {TraceIdOf(job.str()), SpanIdOf(absl::StrCat("submission ", job.str()))};
}

absl::Status RequestIdReused(const absl::Status& cause) {
  ErrorDetails details;
  details.reason = reason::kRequestIdReused;
  details.fields = {{"", "request_id", "got one that was used for another spec, want a new one"}};
  return WithDetails(
      absl::InvalidArgumentError(absl::StrCat(
          "cannot create job: request_id: got one that was used for another spec, want a new one; ",
          cause.message())),
      details);
}

bool WantsCounts(const google::protobuf::FieldMask& mask) {
  return WantsField(mask, "tasks_total") || WantsField(mask, "tasks_succeeded") ||
         WantsField(mask, "tasks_running") || WantsField(mask, "tasks_reused");
}

// What was asked, to tell a repeat from another request.
Digest BodyDigest(const v1::CreateJobRequest& request) {
  return Digest::OfBytes(request.spec().SerializeAsString());
}

}  // namespace

JobService::JobService(const RpcDependencies& dependencies)
    : dependencies_(dependencies),
      planning_(
          dependencies,
          [this](const v1::JobSpec& spec, const Caller& caller) -> absl::StatusOr<v1::JobSpec> {
            v1::JobSpec named = ExpandPreset(spec);
            DISTILL_RETURN_IF_ERROR(Expand(caller, named));
            return Complete(ResolveDefaults(named));
          }),
      metrics_(*dependencies.clock, *dependencies.metrics, *dependencies.gate,
               dependencies.open_calls),
      access_(*dependencies.driver, *dependencies.store),
      watches_(dependencies.limits.max_watches) {}

grpc::ServerUnaryReactor* JobService::CreateJob(grpc::CallbackServerContext* context,
                                                const v1::CreateJobRequest* request,
                                                v1::Job* response) {
  return StartCall(context, "CreateJob", metrics_, *request, [&](const UnaryCallPtr& call) {
    const absl::Status queued = dependencies_.queries->Submit(
        [this, call, request, response] { Prepare(call, *request, *response); });
    if (!queued.ok()) call->Finish(queued);
  });
}

void JobService::Prepare(const UnaryCallPtr& call, const v1::CreateJobRequest& request,
                         v1::Job& response) {
  if (call->IsCancelled()) return call->Finish(absl::CancelledError("the caller is gone"));
  v1::JobSpec named = ExpandPreset(request.spec());  // Presets name data sets too.
  const absl::Status expanded = Expand(call->caller(), named);
  const v1::JobSpec resolved = ResolveDefaults(named);
  absl::StatusOr<v1::JobSpec> complete =
      expanded.ok() ? Complete(resolved) : absl::StatusOr<v1::JobSpec>(expanded);
  if (!complete.ok()) {
    return RefuseUnlessRepeated(call, request, resolved,
                                WithFieldPrefix(complete.status(), "spec."), response);
  }
  if (complete->execution().has_numeric_class()) {
    return PlanAndSubmit(call, request, *complete, response);
  }
  ChooseClass(call, request, std::make_shared<v1::JobSpec>(*std::move(complete)), response);
}

absl::Status JobService::Expand(const Caller& caller, v1::JobSpec& named) const {
  DISTILL_RETURN_IF_ERROR(dependencies_.datasets->CheckVisible(named, caller));
  DISTILL_RETURN_IF_ERROR(CheckGiven(named.given(), caller));
  return dependencies_.datasets->ExpandNames(&named);
}

absl::StatusOr<v1::JobSpec> JobService::Complete(const v1::JobSpec& resolved) const {
  DISTILL_RETURN_IF_ERROR(ValidateJobSpec(resolved));
  DISTILL_RETURN_IF_ERROR(CheckRoomForJobs(dependencies_.limits));
  DISTILL_ASSIGN_OR_RETURN(const JobDatasets infos, Inspect(resolved, *dependencies_.datasets));
  v1::JobSpec complete = ResolveDatasets(resolved, infos);
  DISTILL_RETURN_IF_ERROR(ValidateDatasets(complete, infos));
  DISTILL_RETURN_IF_ERROR(CheckGivenArtifacts(complete, *dependencies_.blobs));
  return complete;
}

void JobService::RefuseUnlessRepeated(const UnaryCallPtr& call, const v1::CreateJobRequest& request,
                                      const v1::JobSpec& resolved, const absl::Status& reason,
                                      v1::Job& response) {
  const ProjectId project(resolved.project());
  dependencies_.driver->PostQuery(
      [this, call, &request, &response, project, reason](const Core* core, MonotonicTime) {
        if (core == nullptr) return call->Finish(reason);
        const auto accepted = core->FindRequest(project, RequestId(request.request_id()));
        if (!accepted.has_value() || accepted->body != BodyDigest(request)) {
          return call->Finish(reason);
        }
        Show(call, accepted->job, response);
      });
}

void JobService::ChooseClass(const UnaryCallPtr& call, const v1::CreateJobRequest& request,
                             std::shared_ptr<v1::JobSpec> spec, v1::Job& response) {
  dependencies_.driver->PostQuery([this, call, &request, spec = std::move(spec), &response](
                                      const Core* core, MonotonicTime now) {
    if (core == nullptr) {
      return call->Finish(ServerStopping());
    }
    std::string numeric_class = core->CommonNumericClass(spec->execution().device_kind(), now);
    // Nobody is there to ask: workers of the same make as this machine are the best guess.
    if (numeric_class.empty()) numeric_class = HostNumericClass();
    spec->mutable_execution()->set_numeric_class(numeric_class);
    const absl::Status queued = dependencies_.queries->Submit(
        [this, call, &request, spec, &response] { PlanAndSubmit(call, request, *spec, response); });
    if (!queued.ok()) call->Finish(queued);
  });
}

void JobService::PlanAndSubmit(const UnaryCallPtr& call, const v1::CreateJobRequest& request,
                               const v1::JobSpec& spec, v1::Job& response) {
  const JobId job(absl::StrCat("job-", dependencies_.ids->RandomHex(kJobIdBytes)));
  absl::StatusOr<JobPlan> plan = Plan(spec, job.str());
  if (!plan.ok()) return call->Finish(WithFieldPrefix(plan.status(), "spec."));
  if (request.validate_only()) {
    *response.mutable_spec() = plan->spec;
    response.set_state(v1::JOB_STATE_RUNNING);
    response.set_tasks_total(static_cast<int>(plan->tasks.size()));
    return call->Finish(absl::OkStatus());
  }
  const Digest body = BodyDigest(request);
  SubmitJob submission = ToSubmission(*plan, job, RequestId(request.request_id()), body);
  submission.job.traceparent = JobTrace(call->Metadata("traceparent"), job).ToTraceparent();
  submission.allow_unplaceable = request.allow_unplaceable();
  submission.retry_of = JobId(request.retry_of());
  SubmitChecked(call, std::move(submission), response);
}

void JobService::SubmitChecked(const UnaryCallPtr& call, SubmitJob submission, v1::Job& response) {
  const auto shared = std::make_shared<SubmitJob>(std::move(submission));
  dependencies_.driver->PostQuery([this, call, shared, &response](const Core* core, MonotonicTime) {
    if (core == nullptr) return call->Finish(ServerStopping());
    std::vector<Digest> keys;
    for (const storage::TaskRecord& task : shared->tasks) {
      if (!task.definition.key.empty()) keys.push_back(task.definition.key);
    }
    std::vector<storage::NamedBlob> results = core->ResultsOf(shared->job.project, keys);
    if (results.empty()) return Submit(call, std::move(*shared), response);
    const absl::Status queued = dependencies_.queries->Submit(
        [this, call, shared, &response, results = std::move(results)] {
          BlobsGone gone{FindGone(results, *dependencies_.clock,
                                  CorruptBlobs(*dependencies_.metrics), *dependencies_.blobs)};
          if (!gone.digests.empty()) {
            LogWarning("results are gone from the blob store; they are made again",
                       {{"blobs", gone.digests.size()}});
            dependencies_.driver->Post(std::move(gone), {});
          }
          Submit(call, std::move(*shared), response);
        });
    if (!queued.ok()) call->Finish(queued);
  });
}

void JobService::Submit(const UnaryCallPtr& call, SubmitJob submission, v1::Job& response) {
  const std::string trace = submission.job.traceparent;
  dependencies_.driver->Post(
      std::move(submission), [this, call, &response, trace](absl::StatusOr<SubmitJobReply> reply) {
        if (absl::IsAlreadyExists(reply.status())) {
          return call->Finish(RequestIdReused(reply.status()));
        }
        if (!reply.ok()) return call->Finish(reply.status());
        call->record().NoteMade(absl::StrCat("job=", reply->job.str()));
        if (!reply->existed) {
          const std::optional<TraceContext> context = ParseTraceparent(trace);
          LogInfo("job accepted", {{"job", reply->job.str()},
                                   {"trace", context.has_value() ? context->trace_id : ""}});
          dependencies_.reports->Track(reply->job);
        }
        Show(call, reply->job, response);
      });
}

absl::Status JobService::CheckGiven(const v1::GivenArtifacts& given, const Caller& caller) const {
  if (caller.Everywhere(Role::kViewer)) return absl::OkStatus();
  std::vector<std::string> texts = {given.meta(), given.teacher(), given.student()};
  texts.insert(texts.end(), given.teacher_stages().begin(), given.teacher_stages().end());
  texts.insert(texts.end(), given.student_modules().begin(), given.student_modules().end());
  for (const std::string& text : texts) {
    const absl::StatusOr<Digest> digest = Digest::Parse(text);
    if (!digest.ok()) continue;  // Absent, or for the validation to tell.
    DISTILL_RETURN_IF_ERROR(access_.CheckReadable(caller, *digest));
  }
  return absl::OkStatus();
}

void JobService::Show(const UnaryCallPtr& call, const JobId& job, v1::Job& response) {
  RunOn(*dependencies_.queries, call, [this, job, &response] { return Read(job, response); });
}

absl::Status JobService::Read(const JobId& job, v1::Job& response) const {
  DISTILL_ASSIGN_OR_RETURN(const storage::JobRecord record, dependencies_.store->GetJob(job));
  DISTILL_ASSIGN_OR_RETURN(response, View(record, google::protobuf::FieldMask()));
  return absl::OkStatus();
}

absl::StatusOr<v1::Job> JobService::View(const storage::JobRecord& record,
                                         const google::protobuf::FieldMask& mask) const {
  storage::JobCounts counts;
  if (WantsCounts(mask)) {
    DISTILL_ASSIGN_OR_RETURN(counts, dependencies_.store->CountTasks(record.id));
  }
  v1::Job job = ToProto(record, counts);
  ApplyReadMask(mask, job);
  return job;
}

grpc::ServerUnaryReactor* JobService::PlanJob(grpc::CallbackServerContext* context,
                                              const v1::PlanJobRequest* request,
                                              v1::JobPlan* response) {
  return StartCall(context, "PlanJob", metrics_, *request, [&](const UnaryCallPtr& call) {
    planning_.Start(call, request->spec(), *response);
  });
}

grpc::ServerUnaryReactor* JobService::GetJob(grpc::CallbackServerContext* context,
                                             const v1::GetJobRequest* request, v1::Job* response) {
  return StartCall(context, "GetJob", metrics_, *request, [&](const UnaryCallPtr& call) {
    RunOn(*dependencies_.queries, call, [this, request, response]() -> absl::Status {
      DISTILL_ASSIGN_OR_RETURN(const storage::JobRecord record,
                               dependencies_.store->GetJob(JobId(request->job())));
      DISTILL_ASSIGN_OR_RETURN(*response, View(record, request->read_mask()));
      return absl::OkStatus();
    });
  });
}

absl::StatusOr<ProjectId> JobService::ProjectToList(const Admission& admission,
                                                    const std::string& asked) {
  if (asked != "-") {
    const ProjectId project(asked.empty() ? kDefaultProject : asked);
    DISTILL_RETURN_IF_ERROR(Gate::CheckProject(admission, project));
    return project;
  }
  if (admission.caller.Everywhere(Role::kViewer)) return ProjectId();
  if (admission.caller.roles.size() == 1) return admission.caller.roles[0].project;
  return absl::PermissionDeniedError(
      "cannot list jobs: of all projects takes the role viewer in all; name one (--project)");
}

absl::Status JobService::ReadPage(const v1::ListJobsRequest& request, const ProjectId& project,
                                  v1::ListJobsResponse& response) const {
  storage::JobPageRequest page;
  page.project = project;
  const PageScope scope{"jobs", page.project.str()};
  DISTILL_ASSIGN_OR_RETURN(page.before_create_revision,
                           ReadNumericPageToken(scope, request.page_token(), /*first=*/0));
  const int limit = request.page_size() == 0 ? kDefaultJobPage : request.page_size();
  page.limit = limit + 1;  // One more tells whether there is a next page.
  DISTILL_ASSIGN_OR_RETURN(const std::vector<storage::JobRecord> jobs,
                           dependencies_.store->ListJobs(page));
  for (const storage::JobRecord& job : jobs) {
    if (response.jobs_size() == limit) {
      response.set_next_page_token(
          MakePageToken(scope, absl::StrCat(jobs[static_cast<size_t>(limit) - 1].create_revision)));
      break;
    }
    DISTILL_ASSIGN_OR_RETURN(*response.add_jobs(), View(job, request.read_mask()));
  }
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* JobService::ListJobs(grpc::CallbackServerContext* context,
                                               const v1::ListJobsRequest* request,
                                               v1::ListJobsResponse* response) {
  return StartCall(context, "ListJobs", metrics_, *request, [&](const UnaryCallPtr& call) {
    const absl::StatusOr<ProjectId> project = ProjectToList(call->admission(), request->project());
    if (!project.ok()) return call->Finish(project.status());
    RunOn(*dependencies_.queries, call, [this, project = *project, request, response] {
      return ReadPage(*request, project, *response);
    });
  });
}

grpc::ServerUnaryReactor* JobService::CancelJob(grpc::CallbackServerContext* context,
                                                const v1::CancelJobRequest* request,
                                                v1::Job* response) {
  return StartCall(context, "CancelJob", metrics_, *request, [&](const UnaryCallPtr& call) {
    const absl::StatusOr<int64_t> revision = RevisionOfEtag(request->etag());
    if (!revision.ok()) return call->Finish(revision.status());
    PostAndShow(
        call, server::CancelJob{JobId(request->job()), RequestId(request->request_id()), *revision},
        *response);
  });
}

template <typename EventType>
void JobService::PostAndShow(const UnaryCallPtr& call, EventType event, v1::Job& response) {
  const JobId job = event.job;
  dependencies_.driver->Post(std::move(event),
                             [this, call, job, &response](absl::StatusOr<Done> reply) {
                               if (!reply.ok()) return call->Finish(reply.status());
                               Show(call, job, response);
                             });
}

grpc::ServerUnaryReactor* JobService::PauseJob(grpc::CallbackServerContext* context,
                                               const v1::PauseJobRequest* request,
                                               v1::Job* response) {
  return StartCall(context, "PauseJob", metrics_, *request, [&](const UnaryCallPtr& call) {
    PostAndShow(call, server::PauseJob{JobId(request->job()), /*paused=*/true}, *response);
  });
}

grpc::ServerUnaryReactor* JobService::ResumeJob(grpc::CallbackServerContext* context,
                                                const v1::ResumeJobRequest* request,
                                                v1::Job* response) {
  return StartCall(context, "ResumeJob", metrics_, *request, [&](const UnaryCallPtr& call) {
    PostAndShow(call, server::PauseJob{JobId(request->job()), /*paused=*/false}, *response);
  });
}

grpc::ServerUnaryReactor* JobService::DeleteJob(grpc::CallbackServerContext* context,
                                                const v1::DeleteJobRequest* request,
                                                v1::DeleteJobResponse*) {
  return StartCall(context, "DeleteJob", metrics_, *request, [&](const UnaryCallPtr& call) {
    dependencies_.driver->Post(
        server::DeleteJob{JobId(request->job())},
        [call](const absl::StatusOr<Done>& reply) { call->Finish(reply.status()); });
  });
}

absl::StatusOr<v1::CreateJobRequest> JobService::AsNewJob(
    const v1::RetryJobRequest& request) const {
  const JobId job(request.job());
  DISTILL_ASSIGN_OR_RETURN(const storage::JobRecord record, dependencies_.store->GetJob(job));
  const storage::JobState state = record.status.state;
  if (!storage::IsTerminal(state) || state == storage::JobState::kSucceeded) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cannot retry job: only one that failed or was cancelled can be; job=", job.str(),
        " state=", storage::Name(state)));
  }
  v1::CreateJobRequest again;
  if (!again.mutable_spec()->ParseFromString(record.spec)) {
    return absl::DataLossError(
        absl::StrCat("cannot retry job: its stored spec does not parse; job=", job.str()));
  }
  again.set_request_id(request.request_id());
  again.set_retry_of(job.str());
  return again;
}

grpc::ServerUnaryReactor* JobService::RetryJob(grpc::CallbackServerContext* context,
                                               const v1::RetryJobRequest* request,
                                               v1::Job* response) {
  return StartCall(context, "RetryJob", metrics_, *request, [&](const UnaryCallPtr& call) {
    const absl::Status queued = dependencies_.queries->Submit([this, call, request, response] {
      absl::StatusOr<v1::CreateJobRequest> again = AsNewJob(*request);
      if (!again.ok()) return call->Finish(again.status());
      // The steps of CreateJob borrow their request: it lives as long as they hold the call.
      struct Retry {
        UnaryCallPtr call;
        v1::CreateJobRequest request;
      };
      const auto retry = std::make_shared<Retry>(Retry{call, *std::move(again)});
      Prepare(UnaryCallPtr(retry, call.get()), retry->request, *response);
    });
    if (!queued.ok()) call->Finish(queued);
  });
}

grpc::ServerWriteReactor<v1::JobEvent>* JobService::WatchJob(grpc::CallbackServerContext* context,
                                                             const v1::WatchJobRequest* request) {
  return StartWatch(dependencies_, metrics_, *context, *request, watches_.Admit());
}

grpc::ServerUnaryReactor* JobService::GetReport(grpc::CallbackServerContext* context,
                                                const v1::GetReportRequest* request,
                                                v1::Report* response) {
  return StartCall(context, "GetReport", metrics_, *request, [&](const UnaryCallPtr& call) {
    RunOn(*dependencies_.queries, call, [this, request, response]() -> absl::Status {
      DISTILL_ASSIGN_OR_RETURN(*response, BuildReport(*dependencies_.store, *dependencies_.blobs,
                                                      JobId(request->job())));
      return absl::OkStatus();
    });
  });
}

grpc::ServerUnaryReactor* JobService::GetJobCost(grpc::CallbackServerContext* context,
                                                 const v1::GetJobCostRequest* request,
                                                 v1::Ledger* response) {
  return StartCall(context, "GetJobCost", metrics_, *request, [&](const UnaryCallPtr& call) {
    dependencies_.driver->PostQuery([call, request, response](const Core* core, MonotonicTime now) {
      if (core == nullptr) return call->Finish(ServerStopping());
      const absl::StatusOr<LedgerView> view = core->JobLedger(JobId(request->job()), now);
      if (view.ok()) *response = ToProto(*view);
      call->Finish(view.status());
    });
  });
}

grpc::ServerUnaryReactor* JobService::GetTrace(grpc::CallbackServerContext* context,
                                               const v1::GetTraceRequest* request,
                                               v1::Trace* response) {
  return StartCall(context, "GetTrace", metrics_, *request, [&](const UnaryCallPtr& call) {
    RunOn(*dependencies_.queries, call, [this, request, response]() -> absl::Status {
      DISTILL_ASSIGN_OR_RETURN(
          *response, BuildTrace(*dependencies_.store, *dependencies_.blobs, JobId(request->job())));
      return absl::OkStatus();
    });
  });
}

}  // namespace distill::server
