// Which queued task a free slot should take: stateless functions of plain views.
//
// The oldest job goes first, and within it plan order. Two preferences bend this a little: a warm
// trainer of a younger job (a second of processor time saved) while no older task has been waiting
// for long, and inputs that the worker already holds, within one job.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/scheduler/events.h"

namespace distill::server {

// What a worker must have to run a task.
struct Requirement {
  std::string numeric_class;  // "any" or empty: no demand.
  std::string device_kind;    // Empty: any.
  int64_t memory_bytes = 0;   // Of a slot; 0: no demand.
};

// Empty when the worker can run such a task; otherwise why not: "has no numeric class cuda-sm90".
std::string WhyUnfit(const Requirement& requirement, const WorkerInfo& worker);
bool Fits(const Requirement& requirement, const WorkerInfo& worker);

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
