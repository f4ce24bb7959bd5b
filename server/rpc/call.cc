#include "server/rpc/call.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/check.h"
#include "base/error_details.h"
#include "base/error_reasons.h"
#include "google/protobuf/descriptor.h"

namespace distill::server {

namespace {

constexpr const char* kServices[] = {"distill.v1.ArtifactService", "distill.v1.AuthService",
                                     "distill.v1.CacheService",    "distill.v1.DatasetService",
                                     "distill.v1.FleetService",    "distill.v1.JobService",
                                     "distill.v1.TaskService",     "distill.v1.WorkerService"};

Counter& Handled(Metrics& metrics, const std::string& method, absl::StatusCode code) {
  return metrics.AddCounter(
      "distill_grpc_server_handled_total", "Calls answered, by code.",
      {{"grpc_method", method}, {"grpc_code", absl::StatusCodeToString(code)}});
}

Histogram& Handling(Metrics& metrics, const std::string& method) {
  return metrics.AddHistogram("distill_grpc_server_handling_seconds", "Time to answer a call.",
                              LatencyBounds(), {{"grpc_method", method}});
}

}  // namespace

void AddCallSeries(Metrics& metrics) {
  for (const char* name : kServices) {
    const google::protobuf::ServiceDescriptor* const service =
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
    DISTILL_CHECK(service != nullptr, "these are the services of the API");
    for (int i = 0; i < service->method_count(); ++i) {
      Handled(metrics, service->method(i)->name(), absl::StatusCode::kOk);
      Handling(metrics, service->method(i)->name());
    }
  }
}

void CallMetrics::Count(absl::string_view method, const absl::Status& status,
                        MonotonicTime start) const {
  const std::string method_name(method);
  Handled(*metrics_, method_name, status.code()).Increment();
  Handling(*metrics_, method_name).Observe(absl::ToDoubleSeconds(clock_->Now() - start));
}

void OpenCalls::Add(int count) {
  MutexLock lock(mu_);
  open_ += count;
  in_flight_.Set(open_);
  if (open_ == 0) changed_.NotifyAll();
}

void OpenCalls::AwaitNone(const Clock& clock, absl::Duration timeout) {
  const MonotonicTime until = clock.Now() + timeout;
  MutexLock lock(mu_);
  while (open_ > 0 && clock.Now() < until) changed_.WaitFor(mu_, until - clock.Now());
}

absl::Status CallRecord::AdmitCaller() {
  if (!admission_.has_value()) admission_ = metrics_->gate().Admit(*context_, method_);
  return admission_->status;
}

std::string CallRecord::Metadata(const std::string& key) const {
  const auto value = context_->client_metadata().find(key);
  if (value == context_->client_metadata().end()) return "";
  return std::string(value->second.data(), value->second.size());
}

void CallRecord::End(const absl::Status& status) const {
  metrics_->Count(method_, status, start_);
  metrics_->gate().Record(*admission_, request_, made_, status);
}

void UnaryCall::Finish(const absl::Status& status) {
  record_.End(status);
  reactor_->Finish(ToGrpcStatus(status));
}

void RunOn(IoExecutor& executor, const UnaryCallPtr& call, std::function<absl::Status()> work) {
  const absl::Status queued = executor.Submit([call, work = std::move(work)] {
    if (call->IsCancelled()) return call->Finish(absl::CancelledError("the caller is gone"));
    if (call->IsOverdue()) {
      return call->Finish(absl::DeadlineExceededError(
          "cannot run call: it has waited too long for a thread; the server is overloaded"));
    }
    call->Finish(work());
  });
  if (!queued.ok()) call->Finish(queued);
}

absl::Status TooManyStreams(absl::string_view action, absl::string_view remedy) {
  const absl::Status status =
      QueueFull(absl::ResourceExhaustedError(absl::StrCat(
                    "cannot ", action, ": too many of these are open; retry later", remedy)),
                "streams of one kind that are open at a time");
  return WithReason(status, reason::kTooManyStreams);
}

absl::Status ServerStopping() {
  return WithReason(absl::UnavailableError("the server is stopping; retry later"),
                    reason::kServerStopping);
}

StreamLimit::Place StreamLimit::Admit() {
  if (++used_ > most_) {
    --used_;
    return Place();
  }
  return Place(&used_);
}

}  // namespace distill::server
