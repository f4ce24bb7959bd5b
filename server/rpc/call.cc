#include "server/rpc/call.h"

#include "absl/time/time.h"

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

void UnaryCall::Finish(const absl::Status& status) {
  metrics_->Count(method_, status, start_);
  reactor_->Finish(ToGrpcStatus(status));
}

void RunOn(IoExecutor& executor, const UnaryCallPtr& call, std::function<absl::Status()> work) {
  const absl::Status queued = executor.Submit([call, work = std::move(work)] {
    call->Finish(call->IsCancelled() ? absl::CancelledError("the caller is gone") : work());
  });
  if (!queued.ok()) call->Finish(queued);
}

StreamLimit::Place StreamLimit::Admit() {
  if (++used_ > most_) {
    --used_;
    return Place();
  }
  return Place(&used_);
}

}  // namespace distill::server
