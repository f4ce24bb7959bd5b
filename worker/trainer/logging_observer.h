// Writes down what a lease set does, for whoever reads the attempt's log: its start, progress now
// and then, checkpoints, and how each member ended.
#pragma once

#include "absl/base/thread_annotations.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "distill/v1/trainer.pb.h"
#include "worker/training/training_observer.h"

namespace distill::worker {

// Passes everything on to `next`. Thread-safe as far as `next` is.
class LoggingObserver : public training::TrainingObserver {
 public:
  // Both are borrowed.
  LoggingObserver(const Clock& clock, training::TrainingObserver& next)
      : clock_(clock), next_(next) {}

  // Says which tasks the set holds; call it before the set runs.
  void LogStart(const v1::StartLeaseSet& set) ABSL_LOCKS_EXCLUDED(mutex_);

  void OnProgress(const v1::MemberProgress& progress) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnCheckpoint(const v1::CheckpointWritten& checkpoint) override;
  void OnEnded(const v1::MemberEnded& ended) override;
  bool IsCancelled(absl::string_view member) override { return next_.IsCancelled(member); }
  bool IsStopRequested() override { return next_.IsStopRequested(); }

 private:
  const Clock& clock_;
  training::TrainingObserver& next_;
  Mutex mutex_;
  MonotonicTime next_line_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distill::worker
