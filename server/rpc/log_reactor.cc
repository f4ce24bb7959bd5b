#include "server/rpc/log_reactor.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "base/status_macros.h"
#include "server/rpc/attempt_observations.h"

namespace distill::server {
namespace {

// As in WatchReactor: at any time either a write is in flight, or a round (on an I/O thread) looks
// for something to write, or the stream is idle until Wake(). `self_` keeps the object alive until
// OnDone() and for as long as a round runs.
class LogReactor : public grpc::ServerWriteReactor<v1::ReadLogResponse>,
                   public std::enable_shared_from_this<LogReactor> {
 public:
  LogReactor(const RpcDependencies& dependencies, CallRecord record,
             const v1::ReadLogRequest& request, StreamLimit::Place place)
      : dependencies_(dependencies),
        record_(std::move(record)),
        job_(request.job()),
        task_(storage::MakeTaskId(job_, request.task())),
        place_(std::move(place)),
        stall_(*dependencies.stalls, [this] { record_.Cancel(); }),
        attempt_number_(request.attempt()),
        offset_(request.offset()) {}

  void Start(const v1::ReadLogRequest& request) {
    self_ = shared_from_this();
    absl::Status status = record_.Admit(request);
    if (status.ok() && !place_.admitted()) status = TooManyStreams("follow log", "");
    if (status.ok()) {
      // Not under the lock: a hub that is closed wakes at once.
      events_ = dependencies_.driver->watch_hub().Subscribe(job_, /*after_revision=*/0, Waker());
    }
    MutexLock lock(mu_);
    if (!status.ok()) return EndLocked(status);
    SubmitRound();
  }

  void OnWriteDone(bool ok) override {
    stall_.Go();
    MutexLock lock(mu_);
    if (!ok || cancelled_) return EndLocked(absl::CancelledError("the reader is gone"));
    SubmitRound();
  }

  void OnCancel() override {
    MutexLock lock(mu_);
    cancelled_ = true;
    if (!busy_) EndLocked(absl::CancelledError("the reader is gone"));
  }

  void OnDone() override {
    events_.reset();
    live_.reset();
    self_.reset();  // May delete this.
  }

 private:
  // What a round found.
  struct Found {
    bool write = false;  // `response_` is filled.
    bool ended = false;  // Nothing more will come.
  };

  std::function<void()> Waker() {
    return [weak = weak_from_this()] {
      if (const std::shared_ptr<LogReactor> reactor = weak.lock()) reactor->Wake();
    };
  }

  void Wake() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    if (finished_) return;
    woken_ = true;
    if (busy_) return;
    busy_ = true;
    SubmitRound();
  }

  void SubmitRound() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const absl::Status queued =
        dependencies_.queries->Submit([reactor = shared_from_this()] { reactor->Round(); });
    if (!queued.ok()) EndLocked(queued);
  }

  void Round() ABSL_LOCKS_EXCLUDED(mu_) {
    {
      MutexLock lock(mu_);
      if (finished_) return;
      if (cancelled_) return EndLocked(absl::CancelledError("the reader is gone"));
      woken_ = false;
    }
    const absl::StatusOr<Found> found = Look();
    MutexLock lock(mu_);
    if (!found.ok()) return EndLocked(found.status());
    if (found->write) {
      stall_.Wait();
      return StartWrite(&response_);
    }
    if (found->ended) return EndLocked(absl::OkStatus());
    if (cancelled_) return EndLocked(absl::CancelledError("the reader is gone"));
    if (woken_) return SubmitRound();
    busy_ = false;
  }

  // Only one round runs at a time, so what it alone touches needs no lock.
  absl::StatusOr<Found> Look() {
    if (reader_ != nullptr) return ReadArtifact();
    const WatchBatch news = events_->Next();
    if (news.closed) return ServerStopping();
    look_ = look_ || news.lagged;
    for (const storage::EventRecord& event : news.events) {
      look_ = look_ || event.task == storage::TaskNameOf(task_) || event.task.empty();
    }
    if (look_) {
      DISTILL_RETURN_IF_ERROR(FindAttempt());
      look_ = false;
    }
    if (finished_log_.has_value()) {
      live_.reset();
      DISTILL_ASSIGN_OR_RETURN(reader_, dependencies_.blobs->OpenReader(finished_log_->digest));
      return ReadArtifact();
    }
    if (no_log_) return Found{/*write=*/false, /*ended=*/true};
    if (live_ == nullptr) return Found{};  // The attempt has not started.
    LogQueue::Piece piece = live_->Take();
    if (piece.bytes.empty()) return Found{};
    return Fill(piece.offset, std::move(piece.bytes));
  }

  // Decides which attempt is meant, once there is one, and where its log is now.
  absl::Status FindAttempt() {
    DISTILL_ASSIGN_OR_RETURN(const storage::TaskRecord task, dependencies_.store->GetTask(task_));
    DISTILL_ASSIGN_OR_RETURN(const std::vector<storage::AttemptRecord> attempts,
                             dependencies_.store->ListAttempts(task_));
    const bool any = attempt_number_ == 0;
    const auto attempt = std::find_if(attempts.rbegin(), attempts.rend(), [&](const auto& a) {
      // Of a gang, the first rank is the one that tells most.
      return any ? a.gang_rank == 0 : a.number == attempt_number_;
    });
    if (attempt == attempts.rend()) {
      if (!storage::IsTerminal(task.status.state)) return absl::OkStatus();
      // Reused results bring the observations of whoever made them.
      DISTILL_ASSIGN_OR_RETURN(
          finished_log_, FindObservation(*dependencies_.store, task_, attempt_number_, "log"));
      return absl::OkStatus();
    }
    attempt_number_ = attempt->number;
    if (attempt->state == storage::AttemptState::kRunning) {
      if (live_ == nullptr) {
        live_ = dependencies_.live_logs->Follow(attempt->lease_id, offset_, Waker());
      }
      return absl::OkStatus();
    }
    const storage::NamedBlob* const log = FindBlob(attempt->observations, "log");
    if (log == nullptr) {
      no_log_ = true;  // Its worker was lost, and what it wrote with it.
    } else {
      finished_log_ = *log;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Found> ReadArtifact() {
    const auto size = static_cast<int64_t>(reader_->size_bytes());
    if (offset_ >= size) return Found{/*write=*/false, /*ended=*/true};
    const auto wanted = std::min<uint64_t>(kMostChunkBytes, static_cast<uint64_t>(size - offset_));
    DISTILL_ASSIGN_OR_RETURN(std::string bytes,
                             reader_->Read(static_cast<uint64_t>(offset_), wanted));
    return Fill(offset_, std::move(bytes));
  }

  Found Fill(int64_t offset, std::string bytes) {
    offset_ = offset + static_cast<int64_t>(bytes.size());
    response_.set_offset(offset);
    response_.set_data(std::move(bytes));
    response_.set_attempt(attempt_number_);
    return Found{/*write=*/true};
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
  const TaskId task_;
  const StreamLimit::Place place_;
  StallGuard::Stream stall_;
  std::shared_ptr<LogReactor> self_;
  std::unique_ptr<WatchSubscription> events_;

  // Touched by rounds only.
  int32_t attempt_number_;  // 0 until it is known.
  int64_t offset_;          // Of what comes next.
  bool look_ = true;        // Something happened to the task since it was last looked at.
  std::unique_ptr<LogSubscription> live_;
  std::optional<storage::NamedBlob> finished_log_;
  bool no_log_ = false;
  std::unique_ptr<storage::BlobReader> reader_;
  v1::ReadLogResponse response_;

  Mutex mu_;
  // A round or a write is under way, or the start, during which there may be a Wake() already.
  bool busy_ ABSL_GUARDED_BY(mu_) = true;
  bool woken_ ABSL_GUARDED_BY(mu_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace

grpc::ServerWriteReactor<v1::ReadLogResponse>* StartLogFollowing(
    const RpcDependencies& dependencies, CallRecord record, const v1::ReadLogRequest& request,
    StreamLimit::Place place) {
  const auto reactor =
      std::make_shared<LogReactor>(dependencies, std::move(record), request, std::move(place));
  reactor->Start(request);
  return reactor.get();
}

}  // namespace distill::server
