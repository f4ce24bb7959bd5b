#include "worker/trainer/logging_observer.h"

#include <string>

#include "base/log.h"

namespace distill::worker {
namespace {

// Often enough to see that a task moves, seldom enough that a day of training fits a small log.
constexpr absl::Duration kProgressLineInterval = absl::Seconds(10);

std::string OutcomeName(v1::MemberEnded::Outcome outcome) {
  return v1::MemberEnded::Outcome_Name(outcome);
}

}  // namespace

void LoggingObserver::LogStart(const v1::StartLeaseSet& set) {
  for (const v1::MemberAssignment& member : set.members()) {
    const v1::TaskSpec& spec = member.spec();
    LogInfo("task starts", {{"member", member.member()},
                            {"kind", v1::TaskKind_Name(spec.kind())},
                            {"module", spec.module_index()},
                            {"images", spec.recipe().total_images()},
                            {"checkpoint", member.checkpoint_path().empty() ? "none" : "given"},
                            {"members", set.members_size()}});
  }
  MutexLock lock(mutex_);
  next_line_ = clock_.Now() + kProgressLineInterval;
}

void LoggingObserver::OnProgress(const v1::MemberProgress& progress) {
  bool is_due = false;
  {
    MutexLock lock(mutex_);
    const MonotonicTime now = clock_.Now();
    is_due = now >= next_line_;
    if (is_due) next_line_ = now + kProgressLineInterval;
  }
  if (is_due) {
    const v1::Progress& p = progress.progress();
    LogInfo("progress", {{"member", progress.member()},
                         {"phase", p.phase()},
                         {"step", p.step()},
                         {"of", p.total_steps()},
                         {"loss", p.loss()},
                         {"images_per_second", p.images_per_second()},
                         {"data_wait_ratio", p.data_wait_ratio()}});
  }
  next_.OnProgress(progress);
}

void LoggingObserver::OnCheckpoint(const v1::CheckpointWritten& checkpoint) {
  LogInfo("checkpoint written", {{"member", checkpoint.member()}, {"step", checkpoint.step()}});
  next_.OnCheckpoint(checkpoint);
}

void LoggingObserver::OnEnded(const v1::MemberEnded& ended) {
  const v1::AttemptStats& stats = ended.stats();
  LogInfo("task ended", {{"member", ended.member()},
                         {"outcome", OutcomeName(ended.outcome())},
                         {"message", ended.message()},
                         {"wall_seconds", stats.wall_seconds()},
                         {"cpu_seconds", stats.cpu_seconds()},
                         {"images", stats.images_seen()},
                         {"peak_memory_bytes", stats.peak_memory_bytes()}});
  next_.OnEnded(ended);
}

}  // namespace distill::worker
