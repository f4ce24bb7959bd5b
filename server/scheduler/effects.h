// What the caller of Core::Step must do, in this order: commit `mutations`; only then send
// `replies`, publish `progress`, and start removing `unlinks`. If the commit fails, the core is
// ahead of the disk and must be thrown away.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/scheduler/events.h"
#include "server/scheduler/transitions.h"
#include "storage/state/records.h"

namespace distill::server {

struct Reply {
  uint64_t call = 0;
  absl::Status status;
  ReplyBody body;  // Of the event's Reply type when `status` is OK.
};

// Volatile news of a running attempt, for watchers.
struct ProgressNews {
  JobId job;
  std::string task;
  WorkerId worker;
  int32_t attempt = 0;
  Progress progress;
};

// Things worth counting; label values come from small fixed sets.
struct CoreCounts {
  int64_t leases_expired = 0;
  int64_t stale_calls_rejected = 0;
  int64_t attempts_salvaged = 0;
  int64_t results_reused = 0;    // A task succeeded by the result of an equal one.
  int64_t results_missed = 0;    // A task became ready and nothing equal was there.
  int64_t followers_joined = 0;  // A task became ready while an equal one was under way.
  int64_t nondeterminism_detected = 0;
  int64_t preemptions = 0;  // Leases that were wanted back.
  int64_t workers_quarantined = 0;
  int64_t attempts_stalled = 0;  // Heartbeat without progress.
  int64_t attempts_speculated = 0;
  int64_t quota_refusals = 0;  // Submissions refused.
};

struct AttemptEnd {
  std::string kind;
  storage::AttemptState outcome = storage::AttemptState::kSucceeded;
  storage::FailureClass cause = storage::FailureClass::kNone;
  absl::Duration took;  // By the wall clock, which is good enough for a histogram.
};

struct AttemptStart {
  std::string kind;
  absl::Duration waited;  // Since the task became ready.
};

// A change of the ledger.
struct Booking {
  std::string kind;
  storage::LedgerEntry entry = storage::LedgerEntry::kSpent;
  int64_t count = 0;
  absl::Duration device_time;  // Below zero: taken back.
};

struct Effects {
  std::vector<storage::Mutation> mutations;
  std::vector<Reply> replies;
  std::vector<ProgressNews> progress;
  std::vector<Digest> unlinks;

  // For metrics only.
  CoreCounts counts;
  std::vector<AttemptEnd> attempts_ended;
  std::vector<TaskTransition> transitions;
  std::vector<AttemptStart> attempts_started;
  std::vector<Booking> booked;
};

}  // namespace distill::server
