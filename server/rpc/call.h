// What every call has in common: it ends exactly once, and is counted by method and code.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "grpcpp/grpcpp.h"
#include "server/rpc/grpc_status.h"
#include "server/rpc/io_executor.h"
#include "server/rpc/validate.h"

namespace distill::server {

// Counts and times finished calls. Thread-safe.
class CallMetrics {
 public:
  CallMetrics(const Clock& clock, Metrics& metrics) : clock_(&clock), metrics_(&metrics) {}

  MonotonicTime Now() const { return clock_->Now(); }
  void Count(absl::string_view method, const absl::Status& status, MonotonicTime start) const;

 private:
  const Clock* const clock_;
  Metrics* const metrics_;
};

// One unary call, kept alive by whoever still works on it. Thread-compatible: one owner at a time.
class UnaryCall {
 public:
  // `method` is a string literal; `context` and `metrics` outlive the call.
  UnaryCall(grpc::CallbackServerContext& context, absl::string_view method,
            const CallMetrics& metrics)
      : context_(&context),
        reactor_(context.DefaultReactor()),
        method_(method),
        metrics_(&metrics),
        start_(metrics.Now()) {}

  grpc::ServerUnaryReactor* reactor() const { return reactor_; }
  // The caller went away or its deadline passed: nobody reads the answer.
  bool IsCancelled() const { return context_->IsCancelled(); }
  // Once. The request and the response must not be touched afterwards.
  void Finish(const absl::Status& status);

 private:
  grpc::CallbackServerContext* const context_;
  grpc::ServerUnaryReactor* const reactor_;
  const absl::string_view method_;
  const CallMetrics* const metrics_;
  const MonotonicTime start_;
};

// Shared by the callbacks that carry the call from thread to thread.
using UnaryCallPtr = std::shared_ptr<UnaryCall>;

// Finishes the call with what `work` returns, run on `executor`; at once when that is full.
void RunOn(IoExecutor& executor, const UnaryCallPtr& call, std::function<absl::Status()> work);

// Checks `request` and, if it is sound, lets `handle` take the call on.
template <typename Request, typename Handle>
grpc::ServerUnaryReactor* StartCall(grpc::CallbackServerContext* context, absl::string_view method,
                                    const CallMetrics& metrics, const Request& request,
                                    Handle handle) {
  auto call = std::make_shared<UnaryCall>(*context, method, metrics);
  grpc::ServerUnaryReactor* const reactor = call->reactor();
  const absl::Status status = ValidateRequest(request);
  if (!status.ok()) {
    call->Finish(status);
  } else {
    handle(call);
  }
  return reactor;
}

// Admits up to `most` streams at a time. Thread-safe.
class StreamLimit {
 public:
  explicit StreamLimit(int most) : most_(most) {}

  // Given back by destruction; empty when there is no room.
  class Place {
   public:
    Place() = default;
    explicit Place(std::atomic<int>* used) : used_(used) {}
    Place(Place&& other) noexcept : used_(std::exchange(other.used_, nullptr)) {}
    Place& operator=(Place&& other) noexcept {
      std::swap(used_, other.used_);
      return *this;
    }
    ~Place() {
      if (used_ != nullptr) --*used_;
    }
    bool admitted() const { return used_ != nullptr; }

   private:
    std::atomic<int>* used_ = nullptr;
  };
  Place Admit();

 private:
  const int most_;
  std::atomic<int> used_{0};
};

}  // namespace distill::server
