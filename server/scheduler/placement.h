// Which queued task a free slot should take: stateless functions of plain views.
//
// Lanes (the tasks of one project and priority) go first by priority, which rises with the time
// that they wait, and then by the share of slots that their project has had: the least goes first.
// Within a lane the oldest job goes first, and within it plan order. Two preferences bend this a
// little: a warm trainer of a younger job (a second of processor time saved) while no older task
// has been waiting for long, and inputs that the worker already holds, within one job.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/scheduler/events.h"
#include "server/scheduler/explanation.h"

namespace distill::server {

// What a worker must have to run a task.
struct Requirement {
  std::string numeric_class;        // "any" or empty: no demand.
  std::string device_kind;          // Empty: any.
  int64_t memory_bytes = 0;         // Of a slot; 0: no demand.
  std::vector<std::string> labels;  // "key=value".
  std::string min_driver{};         // "535.104"; empty: no demand.
  int32_t gang_size = 1;            // Slots at once, of one or several workers.

  auto Tie() const {
    return std::tie(numeric_class, device_kind, memory_bytes, labels, min_driver, gang_size);
  }
  friend bool operator<(const Requirement& a, const Requirement& b) { return a.Tie() < b.Tie(); }
};

// The first demand that the worker does not meet, in words: "has no numeric class cuda-sm90".
// kNone when it could run such a task.
struct Unfit {
  Predicate failed = Predicate::kNone;
  std::string detail;
};
Unfit WhyUnfit(const Requirement& requirement, const WorkerInfo& worker);
// Whether version `have` is `want` or newer, number by number; a number that is not there is 0, and
// an empty `have` is older than any.
bool IsAtLeast(const std::string& have, const std::string& want);
bool Fits(const Requirement& requirement, const WorkerInfo& worker);

inline constexpr int32_t kHighestPriority = 9;

// The priority of a task after waiting: one more for each whole interval, up to the highest.
int32_t EffectivePriority(int32_t priority, absl::Duration waited, absl::Duration ageing_interval);

// The head of a lane.
struct LaneView {
  int32_t effective_priority = 0;
  double share = 0;

  // Whether its turn is before that of `other`.
  bool Precedes(const LaneView& other) const;
};

// Positions of the lanes whose turn it is: all that tie for the first place.
std::vector<size_t> ChooseLanes(absl::Span<const LaneView> lanes);

// A queued task, as seen by one worker.
struct Candidate {
  int64_t job_age = 0;  // Lower is older.
  int32_t index = 0;    // Plan order.
  bool warm = false;    // The worker has a warm trainer of that job.
  int32_t cached_inputs = 0;
  absl::Duration waited;
};

// Position of the candidate to run; deterministic. Requires at least one.
size_t ChooseCandidate(absl::Span<const Candidate> candidates, absl::Duration warm_patience);

// How many of `ready` equal-phase tasks one slot takes, so that `usable_slots` slots (this one
// included) share them evenly. At least 1.
struct BundleInputs {
  int64_t ready = 1;
  int64_t usable_slots = 1;
  int32_t max_bundle = 1;
  int64_t task_memory_bytes = 0;  // 0: unknown.
  int64_t slot_memory_bytes = 0;  // 0: unknown.
};
int64_t BundleSize(const BundleInputs& inputs);

}  // namespace distill::server
