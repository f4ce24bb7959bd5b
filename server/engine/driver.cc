#include "server/engine/driver.h"

#include <cstddef>
#include <deque>
#include <set>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/error_details.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "server/engine/driver_metrics.h"

namespace distill::server {
namespace {

// Gauges take time linear in the state, so they are not set after every commit.
constexpr absl::Duration kTotalsInterval = absl::Seconds(2);

// Times in the store have microseconds; what memory holds must not say more.
Instant NowOf(const Clock& clock) {
  return Instant{clock.Now(), absl::FromUnixMicros(absl::ToUnixMicros(clock.WallNow()))};
}

class SingleWriterDriver : public Driver {
 public:
  SingleWriterDriver(const DriverConfig& config, const DriverDependencies& dependencies, Core core)
      : config_(config),
        dependencies_(dependencies),
        metrics_(*dependencies.metrics, config.task_kinds),
        hub_(config.watch),
        core_(std::move(core)) {}
  ~SingleWriterDriver() override { Stop(); }

  void Abandon(uint64_t call) override { PostEvent(AbandonCall{call}, nullptr); }
  void PostQuery(std::function<void(const Core*, MonotonicTime)> query) override
      ABSL_LOCKS_EXCLUDED(mu_);
  WatchHub& watch_hub() override { return hub_; }
  absl::Status Health() const override ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    return health_;
  }
  void Start() override {
    thread_ = std::thread([this] { Loop(); });
  }
  void Stop() override ABSL_LOCKS_EXCLUDED(mu_);
  bool RunOnce() override ABSL_LOCKS_EXCLUDED(mu_);
  MonotonicTime NextDeadline() const override { return core_.NextDeadline(); }

 private:
  struct Queued {
    Event event;
    RawCallback callback;
    std::function<void(const Core*, MonotonicTime)> query;  // Instead of an event.
  };

  uint64_t PostEvent(EventBody body, RawCallback callback) override ABSL_LOCKS_EXCLUDED(mu_);
  void Loop() ABSL_LOCKS_EXCLUDED(mu_);
  // Takes at most one batch from the queue.
  std::vector<Queued> TakeBatch() ABSL_LOCKS_EXCLUDED(mu_);
  // Steps the core through the batch, commits, replies. Writer thread only.
  void Process(std::vector<Queued> batch) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Commit(const std::vector<storage::Mutation>& mutations);
  void Publish(const Effects& effects);
  void Answer(std::vector<Reply> replies);
  // Ends every open call. Later ones are refused by PostEvent.
  void FailAll(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);
  static void Append(Effects from, Effects& to);
  // Each line says what it is afterwards, so of the same line in many steps only the last counts.
  static void KeepLastLedgerLines(std::vector<storage::Mutation>& mutations);

  const DriverConfig config_;
  const DriverDependencies dependencies_;
  DriverMetrics metrics_;
  WatchHub hub_;

  // Writer thread only.
  Core core_;
  absl::flat_hash_map<uint64_t, RawCallback> open_calls_;
  MonotonicTime next_totals_;

  mutable Mutex mu_;
  CondVar wake_;
  std::deque<Queued> queue_ ABSL_GUARDED_BY(mu_);
  uint64_t next_call_ ABSL_GUARDED_BY(mu_) = 1;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status health_ ABSL_GUARDED_BY(mu_);

  std::thread thread_;
};

uint64_t SingleWriterDriver::PostEvent(EventBody body, RawCallback callback) {
  absl::Status refused;
  uint64_t call = 0;
  {
    MutexLock lock(mu_);
    if (!health_.ok()) {
      refused = health_;
    } else if (static_cast<int>(queue_.size()) >= config_.max_queue) {
      refused = QueueFull(
          absl::ResourceExhaustedError(absl::StrCat(
              "cannot accept call: too many are queued, try again; queued=", queue_.size())),
          "calls that wait for the scheduler");
    } else {
      call = next_call_++;
      queue_.push_back(Queued{Event{call, std::move(body)}, std::move(callback), nullptr});
      wake_.NotifyOne();
      return call;
    }
  }
  if (callback) callback(std::move(refused), ReplyBody());
  return call;
}

void SingleWriterDriver::PostQuery(std::function<void(const Core*, MonotonicTime)> query) {
  {
    MutexLock lock(mu_);
    if (health_.ok()) {
      queue_.push_back(Queued{Event{}, nullptr, std::move(query)});
      wake_.NotifyOne();
      return;
    }
  }
  query(nullptr, dependencies_.clock->Now());
}

std::vector<SingleWriterDriver::Queued> SingleWriterDriver::TakeBatch() {
  MutexLock lock(mu_);
  std::vector<Queued> batch;
  while (!queue_.empty() && static_cast<int>(batch.size()) < config_.max_batch) {
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  metrics_.SetEventQueueLength(queue_.size());
  return batch;
}

void SingleWriterDriver::Append(Effects from, Effects& to) {
  const auto move_all = [](auto& source, auto& target) {
    if (target.empty()) {
      target = std::move(source);
      return;
    }
    for (auto& item : source) target.push_back(std::move(item));
  };
  move_all(from.mutations, to.mutations);
  move_all(from.replies, to.replies);
  move_all(from.progress, to.progress);
  move_all(from.unlinks, to.unlinks);
}

void SingleWriterDriver::KeepLastLedgerLines(std::vector<storage::Mutation>& mutations) {
  using Line = std::tuple<const ProjectId&, const JobId&, const std::string&, storage::LedgerEntry>;
  std::set<Line> seen;
  std::vector<bool> superseded(mutations.size());
  for (size_t i = mutations.size(); i-- > 0;) {
    const auto* const put = std::get_if<storage::PutLedger>(&mutations[i]);
    if (put == nullptr) continue;
    const storage::LedgerRecord& line = put->line;
    superseded[i] = !seen.insert(Line(line.project, line.job, line.kind, line.entry)).second;
  }
  size_t kept = 0;
  for (size_t i = 0; i < mutations.size(); ++i) {
    if (superseded[i]) continue;
    if (kept != i) mutations[kept] = std::move(mutations[i]);
    ++kept;
  }
  mutations.erase(mutations.begin() + static_cast<std::ptrdiff_t>(kept), mutations.end());
}

void SingleWriterDriver::Process(std::vector<Queued> batch) {
  const Instant now = NowOf(*dependencies_.clock);
  Effects effects;
  const auto step = [&](Event event) {
    Effects stepped = core_.Step(now, std::move(event), *dependencies_.ids);
    metrics_.Count(stepped);
    Append(std::move(stepped), effects);
  };
  if (core_.NextDeadline() <= now.monotonic) step(Event{0, Tick{}});
  for (Queued& queued : batch) {
    if (queued.query) continue;
    if (queued.callback) open_calls_.emplace(queued.event.call, std::move(queued.callback));
    step(std::move(queued.event));
  }
  KeepLastLedgerLines(effects.mutations);
  if (!effects.mutations.empty()) {
    const MonotonicTime began = dependencies_.clock->Now();
    const absl::Status status = Commit(effects.mutations);
    metrics_.CountCommit(dependencies_.clock->Now() - began, batch.size());
    if (!status.ok()) return FailAll(status);
  }
  Publish(effects);
  if (!effects.unlinks.empty() && dependencies_.unlink_blobs) {
    dependencies_.unlink_blobs(std::move(effects.unlinks));
  }
  Answer(std::move(effects.replies));
  for (Queued& queued : batch) {
    if (queued.query) queued.query(&core_, now.monotonic);
  }
  if (now.monotonic >= next_totals_) {
    next_totals_ = now.monotonic + kTotalsInterval;
    metrics_.SetTotals(core_.Totals(now.monotonic));
  }
}

absl::Status SingleWriterDriver::Commit(const std::vector<storage::Mutation>& mutations) {
  const absl::Status status = dependencies_.store->Commit(mutations);
  if (status.ok()) return status;
  absl::Status fatal = absl::UnavailableError(
      absl::StrCat("cannot serve: the state store failed: ", status.message()));
  {
    MutexLock lock(mu_);
    health_ = fatal;
  }
  if (dependencies_.on_fatal) {
    dependencies_.on_fatal(status);
  } else {
    LogError("cannot commit; nothing more is accepted, since memory is ahead of the disk",
             {{"error", status}});
  }
  return fatal;
}

void SingleWriterDriver::Publish(const Effects& effects) {
  std::vector<const storage::EventRecord*> events;
  for (const storage::Mutation& mutation : effects.mutations) {
    if (const auto* append = std::get_if<storage::AppendEvent>(&mutation)) {
      events.push_back(&append->event);
    }
  }
  if (!events.empty() || !effects.progress.empty()) hub_.Publish(events, effects.progress);
}

void SingleWriterDriver::Answer(std::vector<Reply> replies) {
  for (Reply& reply : replies) {
    const auto found = open_calls_.find(reply.call);
    if (found == open_calls_.end()) continue;
    const RawCallback callback = std::move(found->second);
    open_calls_.erase(found);
    callback(std::move(reply.status), std::move(reply.body));
  }
}

void SingleWriterDriver::FailAll(const absl::Status& status) {
  std::deque<Queued> queued;
  {
    MutexLock lock(mu_);
    if (health_.ok()) health_ = status;
    queued.swap(queue_);
  }
  hub_.Close();
  absl::flat_hash_map<uint64_t, RawCallback> calls;
  calls.swap(open_calls_);
  for (const auto& [call, callback] : calls) callback(status, ReplyBody());
  for (const Queued& item : queued) {
    if (item.query) item.query(nullptr, dependencies_.clock->Now());
    if (item.callback) item.callback(status, ReplyBody());
  }
}

bool SingleWriterDriver::RunOnce() {
  if (!Health().ok()) return false;
  std::vector<Queued> batch = TakeBatch();
  if (batch.empty() && core_.NextDeadline() > dependencies_.clock->Now()) return false;
  Process(std::move(batch));
  return true;
}

void SingleWriterDriver::Loop() {
  for (;;) {
    const absl::Duration wait = core_.NextDeadline() - dependencies_.clock->Now();
    {
      MutexLock lock(mu_);
      if (queue_.empty() && !stopping_ && wait > absl::ZeroDuration()) {
        wake_.WaitFor(mu_, wait);
      }
      if (stopping_ || !health_.ok()) break;
    }
    RunOnce();
  }
}

void SingleWriterDriver::Stop() {
  {
    MutexLock lock(mu_);
    if (stopping_) return;
    stopping_ = true;
    wake_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
  FailAll(absl::UnavailableError("cannot serve: the server is stopping"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Driver>> Driver::Open(const DriverConfig& config,
                                                     const DriverDependencies& dependencies) {
  absl::StatusOr<storage::StateImage> image = dependencies.store->Load();
  if (!image.ok()) return Annotate(image.status(), "cannot open driver");
  DISTILL_ASSIGN_OR_RETURN(
      Core core, Core::Recover(config.core, *std::move(image), NowOf(*dependencies.clock)));
  return std::unique_ptr<Driver>(
      std::make_unique<SingleWriterDriver>(config, dependencies, std::move(core)));
}

}  // namespace distill::server
