#include "server/web/api_gateway.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "distill/v1/artifact_service.grpc.pb.h"
#include "distill/v1/dataset_service.grpc.pb.h"
#include "distill/v1/fleet_service.grpc.pb.h"
#include "distill/v1/job_service.grpc.pb.h"
#include "proto/status/grpc_status.h"
#include "server/web/event_stream.h"
#include "server/web/json.h"
#include "server/web/overview_publisher.h"
#include "server/web/overview_reader.h"
#include "server/web/request_fields.h"
#include "server/web/series_thinning.h"
#include "server/web/summary.h"
#include "server/web/web_call.h"
#include "server/web/web_errors.h"

namespace distill::server {
namespace {

constexpr absl::string_view kPrefix = "/api/v1/";
constexpr size_t kMostContentBytes = 4 << 20;
constexpr absl::string_view kPngSignature = "\x89PNG\r\n\x1a\n";

using Values = std::map<std::string, std::string>;

// Path and query parameters, those of the path first; and who asks.
struct Query {
  const WebRequest* request;
  Values values;
};

WebResponse JsonResponse(std::string json) {
  WebResponse response;
  response.content_type = "application/json";
  response.body = std::move(json);
  return response;
}

// Takes a parameter out that is none of the API's call. Empty when it was not given.
std::string Take(const std::string& name, Values& values) {
  const auto found = values.find(name);
  if (found == values.end()) return std::string();
  std::string value = std::move(found->second);
  values.erase(found);
  return value;
}

absl::StatusOr<int64_t> TakeNumber(const std::string& name, int64_t otherwise, Values& values) {
  const std::string text = Take(name, values);
  int64_t number = otherwise;
  if (!text.empty() && (!absl::SimpleAtoi(text, &number) || number < 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read request: ", name, ": want a whole number that is not negative"));
  }
  return number;
}

// The type that a browser may be told. Whatever is not known to be harmless is only to be saved.
WebResponse ContentResponse(std::string bytes) {
  WebResponse response;
  if (absl::StartsWith(bytes, kPngSignature)) {
    response.content_type = "image/png";
  } else if (absl::StartsWith(bytes, "{")) {
    response.content_type = "application/json";
  } else {
    response.content_type = "application/octet-stream";
    response.headers.emplace_back("Content-Disposition", "attachment");
  }
  // What a digest names never changes.
  response.headers.emplace_back("Cache-Control", "private, max-age=86400, immutable");
  response.body = std::move(bytes);
  return response;
}

// Of a job in an event only what can change; its spec would be sent again and again.
std::string FormatJobEvent(const v1::JobEvent& event) {
  const std::string id = event.revision() == 0 ? "" : absl::StrCat(event.revision());
  if (event.has_job()) {
    v1::Job job = event.job();
    job.clear_spec();
    return EventFrame(id, "job", ToJson(job));
  }
  if (event.has_task()) return EventFrame(id, "task", ToJson(event.task()));
  if (event.has_progress()) return EventFrame(id, "progress", ToJson(event.progress()));
  return std::string();  // Of a kind that is newer than this program.
}

std::string FormatLog(const v1::ReadLogResponse& piece) {
  return EventFrame("", "log", ToJson(piece));
}

}  // namespace

class ApiGateway::Impl {
 public:
  Impl(const std::shared_ptr<grpc::Channel>& channel, Metrics& metrics)
      : jobs_(v1::JobService::NewStub(channel)),
        tasks_(v1::TaskService::NewStub(channel)),
        fleet_(v1::FleetService::NewStub(channel)),
        artifacts_(v1::ArtifactService::NewStub(channel)),
        datasets_(v1::DatasetService::NewStub(channel)),
        refused_(metrics.AddCounter("distill_web_errors_total",
                                    "Requests of pages that were answered with an error.")),
        reader_(*jobs_, *tasks_, *fleet_),
        overviews_([this](const OverviewPublisher::Viewer& viewer) {
          return reader_.Read(viewer.authorization, viewer.with_queue);
        }) {
    AddCalls();
    Route("jobs/{job}/events", [this](Query query) { return JobEvents(std::move(query)); });
    Route("jobs/{job}/tasks/{task}/series",
          [this](Query query) { return ReadSeries(std::move(query)); });
    Route("jobs/{job}/tasks/{task}/log", [this](Query query) { return Log(std::move(query)); });
    Route("jobs/{job}/tasks/{task}/log/events",
          [this](Query query) { return LogEvents(std::move(query)); });
    Route("artifacts/{digest}/content", [this](Query query) { return Content(std::move(query)); });
    Route("overview/events", [this](Query query) { return Overview(std::move(query)); });
  }

  WebResponse Handle(const WebRequest& request) {
    WebResponse response = Dispatch(request);
    if (response.status >= 400) refused_.Increment();
    response.headers.emplace_back("X-Content-Type-Options", "nosniff");
    bool cached = false;
    for (const auto& [name, value] : response.headers) cached = cached || name == "Cache-Control";
    if (!cached) response.headers.emplace_back("Cache-Control", "no-store");
    return response;
  }

  std::string Summary(const WebRequest& request) {
    const absl::StatusOr<OverviewReader::Facts> facts =
        reader_.ReadFacts(request.Header(kAuthorization));
    if (!facts.ok()) return SummaryOfError(facts.status());
    return SummaryOf(facts->jobs, facts->workers);
  }

  void Stop() { overviews_.Stop(); }

 private:
  using Handler = std::function<WebResponse(Query)>;

  void Route(absl::string_view pattern, Handler handler) {
    routes_.emplace_back(PathPattern(pattern), std::move(handler));
  }

  // A path that is one call: its parameters are the fields of the request, its answer the response.
  template <typename Stub, typename Request, typename Response>
  void RouteCall(absl::string_view pattern, Stub& stub,
                 grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*)) {
    Route(pattern, [&stub, method](const Query& query) {
      Request request;
      absl::Status status = SetFields(query.values, request);
      if (!status.ok()) return ErrorResponse(status);
      absl::StatusOr<Response> response =
          CallApi(stub, method, query.request->Header(kAuthorization), request);
      if (!response.ok()) return ErrorResponse(response.status());
      return JsonResponse(ToJson(*response));
    });
  }

  void AddCalls() {
    using v1::ArtifactService;
    using v1::DatasetService;
    using v1::FleetService;
    using v1::JobService;
    using v1::TaskService;
    RouteCall("jobs", *jobs_, &JobService::Stub::ListJobs);
    RouteCall("jobs/{job}", *jobs_, &JobService::Stub::GetJob);
    RouteCall("jobs/{job}/report", *jobs_, &JobService::Stub::GetReport);
    RouteCall("jobs/{job}/trace", *jobs_, &JobService::Stub::GetTrace);
    RouteCall("jobs/{job}/tasks", *tasks_, &TaskService::Stub::ListTasks);
    RouteCall("jobs/{job}/tasks/{task}", *tasks_, &TaskService::Stub::GetTask);
    RouteCall("jobs/{job}/tasks/{task}/explain", *tasks_, &TaskService::Stub::ExplainTask);
    RouteCall("jobs/{job}/artifacts", *artifacts_, &ArtifactService::Stub::ListArtifacts);
    RouteCall("artifacts/{digest}", *artifacts_, &ArtifactService::Stub::GetArtifact);
    RouteCall("workers", *fleet_, &FleetService::Stub::ListWorkers);
    RouteCall("quotas", *fleet_, &FleetService::Stub::ListQuotas);
    RouteCall("datasets", *datasets_, &DatasetService::Stub::ListDatasets);
    RouteCall("datasets/{name}", *datasets_, &DatasetService::Stub::GetDataset);
  }

  WebResponse Dispatch(const WebRequest& request) {
    absl::string_view path = request.path;
    if (absl::ConsumePrefix(&path, kPrefix)) {
      for (const auto& [pattern, handler] : routes_) {
        // What the path says cannot be said otherwise by a parameter.
        Query query{&request, {}};
        if (!pattern.Matches(path, query.values)) continue;
        query.values.insert(request.query.begin(), request.query.end());
        const absl::Status usable = CheckAuthorization(request.Header(kAuthorization));
        return usable.ok() ? handler(std::move(query)) : ErrorResponse(usable);
      }
    }
    return ErrorResponse(absl::NotFoundError(
        absl::StrCat("cannot serve request: no such path; path=", request.path)));
  }

  // Begins a streaming call whose messages become events. `begin` calls the stub.
  template <typename Response>
  WebResponse Events(
      const Query& query, typename EventStream<Response>::Format format,
      const std::function<void(grpc::ClientContext*, grpc::ClientReadReactor<Response>*)>& begin) {
    auto reader = std::make_shared<CallReader<Response>>();
    SetCaller(query.request->Header(kAuthorization), reader->context());
    begin(&reader->context(), reader.get());
    reader->Start();
    return StreamResponse(std::make_unique<EventStream<Response>>(reader, std::move(format)));
  }

  static WebResponse StreamResponse(std::unique_ptr<WebStream> stream) {
    WebResponse response;
    response.content_type = std::string(kEventStreamType);
    response.headers.emplace_back("Cache-Control", "no-store");
    response.headers.emplace_back("X-Accel-Buffering", "no");
    response.stream = std::move(stream);
    return response;
  }

  // Before a stream begins: errors that are known at once are better told by the status line than
  // by an event.
  absl::Status FindJob(const Query& query, const std::string& job) {
    v1::GetJobRequest request;
    request.set_job(job);
    request.mutable_read_mask()->add_paths("id");
    return CallApi(*jobs_, &v1::JobService::Stub::GetJob, query.request->Header(kAuthorization),
                   request)
        .status();
  }

  absl::Status FindTask(const Query& query, const std::string& job, const std::string& task) {
    v1::GetTaskRequest request;
    request.set_job(job);
    request.set_task(task);
    request.mutable_read_mask()->add_paths("id");
    return CallApi(*tasks_, &v1::TaskService::Stub::GetTask, query.request->Header(kAuthorization),
                   request)
        .status();
  }

  WebResponse JobEvents(Query query) {
    auto request = std::make_shared<v1::WatchJobRequest>();  // Lives as long as the call.
    const std::string resumed = query.request->Header("last-event-id");
    if (!resumed.empty()) query.values["after_revision"] = resumed;
    absl::Status status = SetFields(query.values, *request);
    if (!status.ok()) return ErrorResponse(status);
    status = FindJob(query, request->job());
    if (!status.ok()) return ErrorResponse(status);
    return Events<v1::JobEvent>(
        query, [request](const v1::JobEvent& event) { return FormatJobEvent(event); },
        [&](grpc::ClientContext* context, grpc::ClientReadReactor<v1::JobEvent>* reactor) {
          jobs_->async()->WatchJob(context, request.get(), reactor);
        });
  }

  WebResponse LogEvents(Query query) {
    auto request = std::make_shared<v1::ReadLogRequest>();
    absl::Status status = SetFields(query.values, *request);
    if (!status.ok()) return ErrorResponse(status);
    status = FindTask(query, request->job(), request->task());
    if (!status.ok()) return ErrorResponse(status);
    request->set_follow(true);
    return Events<v1::ReadLogResponse>(
        query, [request](const v1::ReadLogResponse& piece) { return FormatLog(piece); },
        [&](grpc::ClientContext* context, grpc::ClientReadReactor<v1::ReadLogResponse>* reactor) {
          tasks_->async()->ReadLog(context, request.get(), reactor);
        });
  }

  WebResponse Log(Query query) {
    v1::ReadLogRequest request;
    const absl::Status status = SetFields(query.values, request);
    if (!status.ok()) return ErrorResponse(status);
    request.set_follow(false);
    absl::StatusOr<std::string> text =
        ReadApi(*tasks_, &v1::TaskService::Stub::ReadLog, query.request->Header(kAuthorization),
                request, kMostContentBytes);
    if (!text.ok()) return ErrorResponse(text.status());
    WebResponse response;
    response.body = *std::move(text);
    return response;
  }

  WebResponse Content(Query query) {
    v1::DownloadRequest request;
    const absl::Status status = SetFields(query.values, request);
    if (!status.ok()) return ErrorResponse(status);
    absl::StatusOr<std::string> bytes =
        ReadApi(*artifacts_, &v1::ArtifactService::Stub::Download,
                query.request->Header(kAuthorization), request, kMostContentBytes);
    if (!bytes.ok()) return ErrorResponse(bytes.status());
    return ContentResponse(*std::move(bytes));
  }

  WebResponse ReadSeries(Query query) {
    const absl::StatusOr<int64_t> after = TakeNumber("after_step", -1, query.values);
    const absl::StatusOr<int64_t> most = TakeNumber("max_points", 0, query.values);
    for (const absl::Status& status : {after.status(), most.status()}) {
      if (!status.ok()) return ErrorResponse(status);
    }
    v1::ReadSeriesRequest request;
    const absl::Status status = SetFields(query.values, request);
    if (!status.ok()) return ErrorResponse(status);
    absl::StatusOr<v1::ReadSeriesResponse> response =
        CallApi(*tasks_, &v1::TaskService::Stub::ReadSeries, query.request->Header(kAuthorization),
                request);
    if (absl::IsNotFound(response.status())) {
      // A task that has no curve yet is nothing that a page should have to treat as an error.
      const absl::Status known = FindTask(query, request.job(), request.task());
      if (!known.ok()) return ErrorResponse(known);
      response = v1::ReadSeriesResponse();
    }
    if (!response.ok()) return ErrorResponse(response.status());
    ThinSeries(*after, *most, *response->mutable_series());
    return JsonResponse(ToJson(*response));
  }

  WebResponse Overview(Query query) {
    OverviewPublisher::Viewer viewer;
    viewer.authorization = query.request->Header(kAuthorization);
    viewer.with_queue = Take("queue", query.values) == "true";
    if (!query.values.empty()) {
      return ErrorResponse(absl::InvalidArgumentError(absl::StrCat(
          "cannot read request: no such parameter; parameter=", query.values.begin()->first)));
    }
    absl::StatusOr<std::unique_ptr<WebStream>> stream = overviews_.Subscribe(viewer);
    if (!stream.ok()) return ErrorResponse(stream.status());
    return StreamResponse(*std::move(stream));
  }

  const std::unique_ptr<v1::JobService::Stub> jobs_;
  const std::unique_ptr<v1::TaskService::Stub> tasks_;
  const std::unique_ptr<v1::FleetService::Stub> fleet_;
  const std::unique_ptr<v1::ArtifactService::Stub> artifacts_;
  const std::unique_ptr<v1::DatasetService::Stub> datasets_;
  Counter& refused_;
  std::vector<std::pair<PathPattern, Handler>> routes_;  // Constant once constructed.
  OverviewReader reader_;
  OverviewPublisher overviews_;
};

ApiGateway::ApiGateway(const std::shared_ptr<grpc::Channel>& channel, Metrics& metrics)
    : impl_(std::make_unique<Impl>(channel, metrics)) {}
ApiGateway::~ApiGateway() { Stop(); }

WebResponse ApiGateway::Handle(const WebRequest& request) { return impl_->Handle(request); }
std::string ApiGateway::Summary(const WebRequest& request) { return impl_->Summary(request); }
void ApiGateway::Stop() { impl_->Stop(); }

}  // namespace distill::server
