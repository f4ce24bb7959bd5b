// What every call has in common: it is let in at the gate, ends exactly once, and is counted by
// method and code.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "grpcpp/grpcpp.h"
#include "proto/status/grpc_status.h"
#include "server/auth/gate.h"
#include "server/rpc/io_executor.h"
#include "server/rpc/validate.h"

namespace distill::server {

// How many calls are open, so that a server that stops need not wait longer than they last.
// Thread-safe.
class OpenCalls {
 public:
  explicit OpenCalls(Metrics& metrics)
      : in_flight_(metrics.AddGauge("distill_grpc_server_in_flight", "Calls that are open.")) {}

  // Counts a call for as long as it lives.
  class Token {
   public:
    Token() = default;
    explicit Token(OpenCalls& calls) : calls_(&calls) { calls.Add(1); }
    Token(Token&& other) noexcept : calls_(std::exchange(other.calls_, nullptr)) {}
    Token& operator=(Token&& other) noexcept {
      std::swap(calls_, other.calls_);
      return *this;
    }
    ~Token() {
      if (calls_ != nullptr) calls_->Add(-1);
    }

   private:
    OpenCalls* calls_ = nullptr;
  };

  // Waits until none is open, at most for `timeout`.
  void AwaitNone(const Clock& clock, absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Add(int count) ABSL_LOCKS_EXCLUDED(mu_);

  Gauge& in_flight_;
  Mutex mu_;
  CondVar changed_;
  int open_ ABSL_GUARDED_BY(mu_) = 0;
};

// Makes the series of every method of the API, so that they exist before the first call.
void AddCallSeries(Metrics& metrics);

// Lets calls in, and counts, times and keeps a record of how they end. Thread-safe.
class CallMetrics {
 public:
  // Everything is borrowed; `open_calls` may be null.
  CallMetrics(const Clock& clock, Metrics& metrics, Gate& gate, OpenCalls* open_calls = nullptr)
      : clock_(&clock), metrics_(&metrics), gate_(&gate), open_calls_(open_calls) {}

  MonotonicTime Now() const { return clock_->Now(); }
  Gate& gate() const { return *gate_; }
  // Of a call that begins.
  OpenCalls::Token Open() const {
    return open_calls_ == nullptr ? OpenCalls::Token() : OpenCalls::Token(*open_calls_);
  }
  void Count(absl::string_view method, const absl::Status& status, MonotonicTime start) const;

 private:
  const Clock* const clock_;
  Metrics* const metrics_;
  Gate* const gate_;
  OpenCalls* const open_calls_;
};

// One call from the gate to its end. Thread-compatible: one owner at a time.
class CallRecord {
 public:
  // `method` is a string literal; `context` and `metrics` outlive the call.
  CallRecord(grpc::CallbackServerContext& context, absl::string_view method,
             const CallMetrics& metrics)
      : context_(&context),
        method_(method),
        metrics_(&metrics),
        start_(metrics.Now()),
        open_(metrics.Open()) {}

  // Finds out who calls, the first time. For a stream whose first message is still to come.
  absl::Status AdmitCaller();
  // Lets the call in, or says why not: who calls, whether the request is sound, whether what it
  // names is the caller's. `request` outlives the call.
  template <typename Request>
  absl::Status Admit(const Request& request) {
    request_ = &request;
    absl::Status status = AdmitCaller();
    if (status.ok()) status = ValidateRequest(request);
    if (!status.ok()) return status;
    return metrics_->gate().CheckScope(*admission_, request);
  }
  // Only after AdmitCaller() or Admit().
  const Admission& admission() const { return *admission_; }
  const Caller& caller() const { return admission_->caller; }

  // The caller went away or its deadline passed: nobody reads the answer.
  bool IsCancelled() const { return context_->IsCancelled(); }
  // Of the caller's metadata; "" when there is none of that key.
  std::string Metadata(const std::string& key) const;
  absl::Duration Age() const { return metrics_->Now() - start_; }
  // Cuts the call off without an answer. Thread-safe.
  void Cancel() const { context_->TryCancel(); }
  // Names what the call made, for the audit log: "job=job-7f3a9c01".
  void NoteMade(std::string made) { made_ = std::move(made); }
  // Once, before the call is finished towards gRPC.
  void End(const absl::Status& status) const;

 private:
  grpc::CallbackServerContext* const context_;
  const absl::string_view method_;
  const CallMetrics* const metrics_;
  const MonotonicTime start_;
  OpenCalls::Token open_;
  std::optional<Admission> admission_;
  const google::protobuf::Message* request_ = nullptr;
  std::string made_;
};

// Of a unary call for a thread, whatever deadline its caller set.
inline constexpr absl::Duration kLongestWait = absl::Seconds(30);

// One unary call, kept alive by whoever still works on it. Thread-compatible: one owner at a time.
class UnaryCall {
 public:
  // As for CallRecord.
  UnaryCall(grpc::CallbackServerContext& context, absl::string_view method,
            const CallMetrics& metrics)
      : record_(context, method, metrics), reactor_(context.DefaultReactor()) {}

  CallRecord& record() { return record_; }
  const Admission& admission() const { return record_.admission(); }
  const Caller& caller() const { return record_.caller(); }
  grpc::ServerUnaryReactor* reactor() const { return reactor_; }
  bool IsCancelled() const { return record_.IsCancelled(); }
  std::string Metadata(const std::string& key) const { return record_.Metadata(key); }
  // It has waited longer for a thread than any caller should, whatever deadline it has.
  bool IsOverdue() const { return record_.Age() > kLongestWait; }
  // Once. The request and the response must not be touched afterwards.
  void Finish(const absl::Status& status);

 private:
  CallRecord record_;
  grpc::ServerUnaryReactor* const reactor_;
};

// Shared by the callbacks that carry the call from thread to thread.
using UnaryCallPtr = std::shared_ptr<UnaryCall>;

// Finishes the call with what `work` returns, run on `executor`; at once when that is full.
void RunOn(IoExecutor& executor, const UnaryCallPtr& call, std::function<absl::Status()> work);

// Lets the call in at the gate and, if `request` is sound and the caller's to make, lets `handle`
// take it on.
template <typename Request, typename Handle>
grpc::ServerUnaryReactor* StartCall(grpc::CallbackServerContext* context, absl::string_view method,
                                    const CallMetrics& metrics, const Request& request,
                                    Handle handle) {
  auto call = std::make_shared<UnaryCall>(*context, method, metrics);
  grpc::ServerUnaryReactor* const reactor = call->reactor();
  const absl::Status status = call->record().Admit(request);
  if (!status.ok()) {
    call->Finish(status);
  } else {
    handle(call);
  }
  return reactor;
}

// What a stream without a place is refused with. `action` such as "watch job"; `remedy` may be "".
absl::Status TooManyStreams(absl::string_view action, absl::string_view remedy);
// What calls get while the server stops.
absl::Status ServerStopping();

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
