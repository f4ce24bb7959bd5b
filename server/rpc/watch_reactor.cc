#include "server/rpc/watch_reactor.h"

#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/status_macros.h"
#include "server/rpc/convert.h"

namespace distill::server {
namespace {

constexpr int kEventsPerRead = 256;

// At any time either a write is in flight, or a round (on an I/O thread) looks for something to
// write, or the watch is idle until Wake(). `self_` keeps the object alive until OnDone() and for
// as long as a round runs.
class WatchReactor : public grpc::ServerWriteReactor<v1::JobEvent>,
                     public std::enable_shared_from_this<WatchReactor> {
 public:
  WatchReactor(const RpcDependencies& dependencies, const CallMetrics& metrics,
               grpc::CallbackServerContext& context, const v1::WatchJobRequest& request,
               StreamLimit::Place place)
      : dependencies_(dependencies),
        record_(context, "WatchJob", metrics),
        job_(request.job()),
        include_progress_(!request.has_include_progress() || request.include_progress()),
        place_(std::move(place)),
        stall_(*dependencies.stalls, [this] { record_.Cancel(); }),
        last_revision_(request.after_revision()) {}

  void Start(const v1::WatchJobRequest& request) {
    self_ = shared_from_this();
    absl::Status status = record_.Admit(request);
    if (status.ok() && !place_.admitted()) {
      status = TooManyStreams("watch job", " or poll GetJob");
    }
    if (!status.ok()) return End(status);
    // Subscribed before history is read, so that nothing falls between the two.
    subscription_ = dependencies_.driver->watch_hub().Subscribe(
        job_, last_revision_, [weak = weak_from_this()] {
          if (const std::shared_ptr<WatchReactor> watch = weak.lock()) watch->Wake();
        });
    MutexLock lock(mu_);
    busy_ = true;
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
    subscription_.reset();
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
    std::vector<v1::JobEvent> events;
    bool terminal = false;
    const absl::Status status = Gather(events, terminal);
    MutexLock lock(mu_);
    if (!status.ok()) return EndLocked(status);
    for (v1::JobEvent& event : events) queue_.push_back(std::move(event));
    ended_after_writes_ = terminal;
    if (WriteNext()) return;
    if (terminal) return EndLocked(absl::OkStatus());
    if (cancelled_) return EndLocked(absl::CancelledError("the watcher is gone"));
    if (woken_ || in_history_) return SubmitRound();
    busy_ = false;
  }

  // Only one round runs at a time, so what it alone touches needs no lock.
  absl::Status Gather(std::vector<v1::JobEvent>& events, bool& terminal) {
    if (in_history_) return ReadHistory(events, terminal);
    const WatchBatch batch = subscription_->Next();
    if (batch.closed) {
      return ServerStopping();
    }
    DISTILL_RETURN_IF_ERROR(Convert(batch.events, events, terminal));
    if (include_progress_ && !terminal) {
      for (const ProgressNews& news : batch.progress) events.push_back(ToProto(news));
    }
    if (batch.lagged) in_history_ = true;
    return absl::OkStatus();
  }

  absl::Status ReadHistory(std::vector<v1::JobEvent>& events, bool& terminal) {
    DISTILL_ASSIGN_OR_RETURN(const storage::JobRecord record, dependencies_.store->GetJob(job_));
    shown_job_ = ToProto(record, storage::JobCounts());
    DISTILL_ASSIGN_OR_RETURN(
        const std::vector<storage::EventRecord> history,
        dependencies_.store->EventsAfter(job_, last_revision_, kEventsPerRead));
    DISTILL_RETURN_IF_ERROR(Convert(history, events, terminal));
    if (!history.empty()) return absl::OkStatus();
    in_history_ = false;
    // Read before the history, so nothing can follow.
    terminal = storage::IsTerminal(record.status.state);
    return absl::OkStatus();
  }

  absl::Status Convert(const std::vector<storage::EventRecord>& records,
                       std::vector<v1::JobEvent>& events, bool& terminal) {
    for (const storage::EventRecord& record : records) {
      if (record.revision <= last_revision_) continue;  // Read from history already.
      last_revision_ = record.revision;
      std::vector<storage::NamedBlob> results;
      if (!record.task.empty() && record.task_state == storage::TaskState::kSucceeded) {
        DISTILL_ASSIGN_OR_RETURN(
            const storage::TaskRecord task,
            dependencies_.store->GetTask(storage::MakeTaskId(job_, record.task)));
        results = task.status.results;
      }
      events.push_back(ToProto(record, shown_job_, results));
      terminal = terminal || (record.task.empty() && storage::IsTerminal(record.job_state));
    }
    return absl::OkStatus();
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
  const JobId job_;
  const bool include_progress_;
  const StreamLimit::Place place_;
  StallGuard::Stream stall_;
  std::shared_ptr<WatchReactor> self_;
  std::unique_ptr<WatchSubscription> subscription_;

  // Touched by rounds only.
  bool in_history_ = true;
  int64_t last_revision_;
  v1::Job shown_job_;

  Mutex mu_;
  bool busy_ ABSL_GUARDED_BY(mu_) = false;  // A round or a write is under way.
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
      std::make_shared<WatchReactor>(dependencies, metrics, context, request, std::move(place));
  watch->Start(request);
  return watch.get();
}

}  // namespace distill::server
