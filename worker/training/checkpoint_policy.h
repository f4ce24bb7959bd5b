// Decides when a run writes its next checkpoint: as often as possible while writing costs at most
// 2 % of the time, within 30 s and 15 min, unless the task names an interval.
#pragma once

#include <optional>

#include "absl/time/time.h"
#include "base/clock.h"

namespace distill::training {

// One thread.
class CheckpointPolicy {
 public:
  // `requested` of zero leaves the choice to the policy.
  CheckpointPolicy(absl::Duration requested, MonotonicTime start);

  bool IsDue(MonotonicTime now) const { return now - last_ >= interval(); }
  // A checkpoint was begun; the next one counts from here.
  void Begin(MonotonicTime now) { last_ = now; }
  // What one checkpoint cost, copying and writing together; the newest word counts.
  void ObserveCost(absl::Duration cost) { cost_ = cost; }

  absl::Duration interval() const;

 private:
  const absl::Duration requested_;
  MonotonicTime last_;
  std::optional<absl::Duration> cost_;
};

}  // namespace distill::training
