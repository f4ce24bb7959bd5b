// The books: what the device time of jobs and projects went into, and what is known of results that
// equal tasks share. Plain values, for core.h and its callers.
//
// One unit of device time is one slot leased for as long; the tasks of a bundle share their slot
// evenly. What an attempt lost is the time since its last checkpoint that the task kept, or all of
// it when its result is lost.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/digest.h"
#include "base/ids.h"
#include "storage/state/records.h"

namespace distill::server {

struct LedgerLine {
  int64_t count = 0;
  absl::Duration device_time;
};

// By interned kind.
using Ledger = std::map<std::pair<int32_t, storage::LedgerEntry>, LedgerLine>;

// The lines of one kind of task.
struct LedgerAccount {
  std::map<storage::LedgerEntry, LedgerLine> lines;
  absl::Duration running;  // So far, of attempts that run.
};

struct LedgerView {
  ProjectId project;
  JobId job;                                      // Empty: all that the project ever had.
  std::map<std::string, LedgerAccount> accounts;  // By kind.
};

// The results of one kind in a project.
struct CacheRow {
  ProjectId project;
  std::string kind;
  int64_t entries = 0;
  int64_t bytes = 0;  // Of their blobs, each counted with each result that has it.
  LedgerAccount account;
};

// A task that has a key.
struct KeyUserView {
  TaskId task;
  storage::TaskState state = storage::TaskState::kBlocked;
  TaskId reused_from;
  bool follows = false;  // An equal task is under way.
  bool ran = false;      // It had an attempt.
};

struct KeyView {
  std::optional<storage::ResultRecord> result;
  bool usable = false;             // All blobs of the result are there.
  std::vector<JobId> pinned_by;    // Jobs that are not over and use the result; oldest first.
  std::vector<KeyUserView> users;  // Newest job first.
};

}  // namespace distill::server
