// Server-sent events (the WHATWG's text/event-stream) out of a streaming call of the API.
#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/client_callback.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "base/observability_server.h"
#include "proto/status/grpc_status.h"
#include "server/web/web_errors.h"

namespace distill::server {

// To the letter, without a charset: cpp-httplib compresses other text, and so holds it back.
inline constexpr absl::string_view kEventStreamType = "text/event-stream";
// Browsers that went away are found when something is sent.
inline constexpr absl::Duration kKeepAliveInterval = absl::Seconds(10);
inline constexpr absl::string_view kKeepAlive = ":\n\n";

// One event. `id`, which may be empty, is what a browser that comes back names as Last-Event-ID.
// `data` has no line breaks.
std::string EventFrame(absl::string_view id, absl::string_view name, absl::string_view data);
// The last event of a stream: "end" when the call is over, "failure" with the error otherwise.
std::string LastFrame(const absl::Status& status);

// Reads one call into a queue. Keeps itself alive until gRPC is done with it. While the queue is
// full nothing is read, so that a slow browser slows the call down. Thread-safe.
template <typename Response>
class CallReader : public grpc::ClientReadReactor<Response>,
                   public std::enable_shared_from_this<CallReader<Response>> {
 public:
  static constexpr size_t kMostQueued = 256;

  grpc::ClientContext& context() { return context_; }

  // Once, after the call was begun with this as its reactor.
  void Start() {
    self_ = this->shared_from_this();
    this->AddHold();  // Reads are also started outside of reactions.
    this->StartRead(&message_);
    this->StartCall();
  }

  void OnReadDone(bool ok) override ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    if (!ok) return this->RemoveHold();
    queue_.push_back(std::move(message_));
    changed_.NotifyAll();
    if (queue_.size() < kMostQueued) {
      this->StartRead(&message_);
    } else {
      paused_ = true;
    }
  }

  void OnDone(const grpc::Status& status) override ABSL_LOCKS_EXCLUDED(mu_) {
    {
      MutexLock lock(mu_);
      finished_ = FromGrpcStatus(status);
      changed_.NotifyAll();
    }
    self_.reset();  // May delete this.
  }

  void Cancel() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    if (cancelled_) return;
    cancelled_ = true;
    changed_.NotifyAll();
    context_.TryCancel();
    Unpause();
  }

  // What came since the last Take(), and how the call ended if it has. Waits for either, but not
  // for longer than a stream may be quiet.
  struct Taken {
    std::deque<Response> messages;
    std::optional<absl::Status> finished;
    bool cancelled = false;
  };
  Taken Take() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    while (queue_.empty() && !finished_.has_value() && !cancelled_) {
      if (!changed_.WaitFor(mu_, kKeepAliveInterval)) break;
    }
    Taken taken;
    taken.messages.swap(queue_);
    taken.cancelled = cancelled_;
    taken.finished = finished_;
    Unpause();
    return taken;
  }

 private:
  void Unpause() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (!paused_) return;
    paused_ = false;
    this->StartRead(&message_);
  }

  grpc::ClientContext context_;
  Response message_;
  // Until OnDone(): gRPC's share of the ownership.
  std::shared_ptr<CallReader> self_;

  Mutex mu_;
  CondVar changed_;
  std::deque<Response> queue_ ABSL_GUARDED_BY(mu_);
  bool paused_ ABSL_GUARDED_BY(mu_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<absl::Status> finished_ ABSL_GUARDED_BY(mu_);
};

// Sends what a call streams, each message as `format` writes it ("" leaves it out).
template <typename Response>
class EventStream : public WebStream {
 public:
  using Format = std::function<std::string(const Response&)>;

  EventStream(std::shared_ptr<CallReader<Response>> reader, Format format)
      : reader_(std::move(reader)), format_(std::move(format)) {}
  ~EventStream() override { reader_->Cancel(); }

  std::optional<std::string> Next() override {
    if (over_) return std::nullopt;
    const typename CallReader<Response>::Taken taken = reader_->Take();
    if (taken.cancelled) return std::nullopt;
    std::string frames;
    for (const Response& message : taken.messages) frames += format_(message);
    if (taken.finished.has_value()) {
      over_ = true;
      frames += LastFrame(*taken.finished);
    }
    if (frames.empty()) return std::string(kKeepAlive);
    return frames;
  }
  void Cancel() override { reader_->Cancel(); }

 private:
  const std::shared_ptr<CallReader<Response>> reader_;  // Shared with gRPC.
  const Format format_;
  bool over_ = false;
};

}  // namespace distill::server
