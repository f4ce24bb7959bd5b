#include "server/rpc/call.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/error_details.h"
#include "base/error_reasons.h"

namespace distill::server {

void CallMetrics::Count(absl::string_view method, const absl::Status& status,
                        MonotonicTime start) const {
  const std::string method_name(method);
  metrics_
      ->AddCounter(
          "distill_grpc_server_handled_total", "Calls answered, by code.",
          {{"grpc_method", method_name}, {"grpc_code", absl::StatusCodeToString(status.code())}})
      .Increment();
  metrics_
      ->AddHistogram("distill_grpc_server_handling_seconds", "Time to answer a call.",
                     LatencyBounds(), {{"grpc_method", method_name}})
      .Observe(absl::ToDoubleSeconds(clock_->Now() - start));
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

std::string UnaryCall::Metadata(const std::string& key) const {
  const auto value = context_->client_metadata().find(key);
  if (value == context_->client_metadata().end()) return "";
  return std::string(value->second.data(), value->second.size());
}

void UnaryCall::Finish(const absl::Status& status) {
  metrics_->Count(method_, status, start_);
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
