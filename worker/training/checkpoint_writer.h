// Writes checkpoints beside the training: one thread, one checkpoint at a time for all members of a
// lease set. Whoever hears of them decides how many to keep.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "worker/training/checkpoint.h"
#include "worker/training/training_observer.h"

namespace distill::training {

// Thread-safe, but Submit and Flush are meant for one training thread.
class CheckpointWriter {
 public:
  // `observer` hears of every finished checkpoint, on the writer's thread, and outlives this.
  explicit CheckpointWriter(TrainingObserver& observer);
  // Finishes what was submitted.
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  // Takes the checkpoint, whose tensors nobody else may change any more, to
  // <directory>/checkpoint-<step>.safetensors. Returns at once.
  void Submit(const std::string& member, const std::string& directory, Checkpoint checkpoint)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Whether something is still being written; the next checkpoint should then wait.
  bool IsBusy() ABSL_LOCKS_EXCLUDED(mutex_);

  // Waits for all submitted ones. Returns the first error of the member's since the last Flush of
  // it; an error does not stop later checkpoints.
  absl::Status Flush(const std::string& member) ABSL_LOCKS_EXCLUDED(mutex_);

  // CPU time that the writing of the newest finished checkpoint took.
  absl::Duration last_cost() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Order {
    std::string member;
    std::string directory;
    Checkpoint checkpoint;
  };

  void RunThread() ABSL_LOCKS_EXCLUDED(mutex_);
  void Write(const Order& order) ABSL_LOCKS_EXCLUDED(mutex_);

  TrainingObserver& observer_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<Order> orders_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Duration last_cost_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, absl::Status> errors_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;  // Last: starts when everything above is ready.
};

}  // namespace distill::training
