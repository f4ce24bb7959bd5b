// Why a task does not run, as plain values. Numbers equal those of the protocol's enums.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/ids.h"
#include "storage/state/records.h"

namespace distill::server {

// The first that applies, in this order.
enum class WaitReason : int8_t {
  kNone = 1,         // It runs or is over.
  kInputs = 2,       // BLOCKED on tasks that have not succeeded.
  kJobPaused = 3,    // Its job is paused.
  kEqualTask = 4,    // An equal task is under way; its result will serve.
  kBackoff = 5,      // Pauses after a failure.
  kNoWorker = 6,     // No worker is connected.
  kNoFit = 7,        // No worker that is connected could ever run it.
  kUnavailable = 8,  // All that could are draining or in quarantine.
  kQuota = 9,        // The quota of its project is used up.
  kNoFreeSlot = 10,  // All slots that could run it are busy.
  kTurn = 11,        // A slot is free: it is a matter of a moment, or of whose turn it is.
  kGang = 12,        // It needs several slots at once, and not enough are free.
};

// What a worker must pass to be given a task, in the order in which it is looked at.
enum class Predicate : int8_t {
  kNone = 1,  // None fails.
  kConnected = 2,
  kDeviceKind = 3,
  kNumericClass = 4,
  kMemory = 5,
  kLabels = 6,
  kNotDraining = 7,
  kNotQuarantined = 8,
  kFreeSlot = 9,
  kAsking = 10,       // It waits in an open long poll.
  kDriver = 11,       // Looked at after the numeric class.
  kGangNetwork = 12,  // Lets its trainers speak with others; looked at after kLabels.
};

const char* Name(WaitReason reason);
const char* Name(Predicate predicate);

struct WorkerFit {
  WorkerId worker;
  Predicate failed = Predicate::kNone;
  std::string detail;  // In words: "has no numeric class cuda-sm90".
};

struct Explanation {
  storage::TaskState state = storage::TaskState::kBlocked;
  WaitReason reason = WaitReason::kNone;
  std::string detail;
  // Tasks of its job that it waits for, or the one task anywhere whose result will serve.
  std::vector<std::string> waits_for;
  absl::Duration retry_in;
  int32_t priority = 0;
  int32_t effective_priority = 0;
  double project_share = 0;
  std::vector<WorkerFit> workers;  // While QUEUED, in order of id.
};

}  // namespace distill::server
