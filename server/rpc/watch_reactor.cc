#include "server/rpc/watch_reactor.h"

#include <deque>
#include <memory>
#include <utility>

#include "base/mutex.h"
#include "server/rpc/job_event_feed.h"

namespace distill::server {
namespace {

// At any time either a write is in flight, or a round (on an I/O thread) looks for something to
// write, or the watch is idle until Wake(). `self_` keeps the object alive until OnDone() and for
// as long as a round runs.
class WatchReactor : public grpc::ServerWriteReactor<v1::JobEvent>,
                     public std::enable_shared_from_this<WatchReactor> {
 public:
  WatchReactor(const RpcDependencies& dependencies, const CallMetrics& metrics,
               grpc::CallbackServerContext& context, StreamLimit::Place place)
      : dependencies_(dependencies),
        record_(context, "WatchJob", metrics),
        place_(std::move(place)),
        stall_(*dependencies.stalls, [this] { record_.Cancel(); }) {}

  void Start(const v1::WatchJobRequest& request) {
    self_ = shared_from_this();
    absl::Status status = record_.Admit(request);
    if (status.ok() && !place_.admitted()) {
      status = TooManyStreams("watch job", " or poll GetJob");
    }
    if (!status.ok()) return End(status);
    JobEventFeed::Options options;
    options.after_revision = request.after_revision();
    options.include_progress = !request.has_include_progress() || request.include_progress();
    feed_ = std::make_unique<JobEventFeed>(
        *dependencies_.store, dependencies_.driver->watch_hub(), JobId(request.job()), options,
        [weak = weak_from_this()] {
          if (const std::shared_ptr<WatchReactor> watch = weak.lock()) watch->Wake();
        });
    MutexLock lock(mu_);
    SubmitRound();
  }

  void OnWriteDone(bool ok) override {
    stall_.Go();
    MutexLock lock(mu_);
    if (!ok || cancelled_) return EndLocked(absl::CancelledError("the watcher is gone"));
    if (WriteNext()) return;
    if (ended_after_writes_) return EndLocked(absl::OkStatus());
    SubmitRound();
  }

  void OnCancel() override {
    MutexLock lock(mu_);
    cancelled_ = true;
    if (!busy_) EndLocked(absl::CancelledError("the watcher is gone"));
  }

  void OnDone() override {
    feed_.reset();
    self_.reset();  // May delete this.
  }

 private:
  // On the driver's thread.
  void Wake() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    if (finished_) return;
    if (busy_) {
      woken_ = true;
      return;
    }
    busy_ = true;
    SubmitRound();
  }

  void SubmitRound() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const absl::Status queued =
        dependencies_.queries->Submit([watch = shared_from_this()] { watch->Round(); });
    if (!queued.ok()) EndLocked(queued);
  }

  // Gathers what there is to write, on an I/O thread.
  void Round() ABSL_LOCKS_EXCLUDED(mu_) {
    {
      MutexLock lock(mu_);
      if (finished_) return;
      if (cancelled_) return EndLocked(absl::CancelledError("the watcher is gone"));
      woken_ = false;
    }
    absl::StatusOr<JobEventFeed::Batch> batch = feed_->Next();
    MutexLock lock(mu_);
    if (!batch.ok()) return EndLocked(batch.status());
    for (v1::JobEvent& event : batch->events) queue_.push_back(std::move(event));
    ended_after_writes_ = batch->terminal;
    if (WriteNext()) return;
    if (ended_after_writes_) return EndLocked(absl::OkStatus());
    if (cancelled_) return EndLocked(absl::CancelledError("the watcher is gone"));
    if (woken_) return SubmitRound();
    busy_ = false;
  }

  // Starts the next write, if there is one.
  bool WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (queue_.empty()) return false;
    writing_ = std::move(queue_.front());
    queue_.pop_front();
    stall_.Wait();
    StartWrite(&writing_);
    return true;
  }

  void End(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    EndLocked(status);
  }

  void EndLocked(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (finished_) return;
    finished_ = true;
    busy_ = true;
    record_.End(status);
    Finish(ToGrpcStatus(status));
  }

  const RpcDependencies dependencies_;
  CallRecord record_;
  const StreamLimit::Place place_;
  StallGuard::Stream stall_;
  std::shared_ptr<WatchReactor> self_;
  std::unique_ptr<JobEventFeed> feed_;  // Used by rounds, of which one runs at a time.

  Mutex mu_;
  // A round or a write is under way, or the start, during which there may be a Wake() already.
  bool busy_ ABSL_GUARDED_BY(mu_) = true;
  bool woken_ ABSL_GUARDED_BY(mu_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  bool ended_after_writes_ ABSL_GUARDED_BY(mu_) = false;
  std::deque<v1::JobEvent> queue_ ABSL_GUARDED_BY(mu_);
  v1::JobEvent writing_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

grpc::ServerWriteReactor<v1::JobEvent>* StartWatch(const RpcDependencies& dependencies,
                                                   const CallMetrics& metrics,
                                                   grpc::CallbackServerContext& context,
                                                   const v1::WatchJobRequest& request,
                                                   StreamLimit::Place place) {
  const auto watch =
      std::make_shared<WatchReactor>(dependencies, metrics, context, std::move(place));
  watch->Start(request);
  return watch.get();
}

}  // namespace distill::server
