// How a lease set talks to whoever started it: a worker behind a pipe, a person at a terminal, or a
// test. It reports, and asks at each step boundary whether to go on.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "distill/v1/trainer.pb.h"

namespace distill::training {

// Thread-safe: OnCheckpoint comes from the thread that writes checkpoints, everything else from the
// training thread. Calls must not block for long.
class TrainingObserver {
 public:
  virtual ~TrainingObserver() = default;

  virtual void OnProgress(const v1::MemberProgress& progress) = 0;
  virtual void OnCheckpoint(const v1::CheckpointWritten& checkpoint) = 0;
  // The last word about a member; exactly one for each.
  virtual void OnEnded(const v1::MemberEnded& ended) = 0;

  // Asked between steps. A cancelled member ends at once; a requested stop writes a checkpoint of
  // every member first. Neither may change back from true to false during a lease set.
  virtual bool IsCancelled(absl::string_view member) = 0;
  virtual bool IsStopRequested() = 0;
};

}  // namespace distill::training
