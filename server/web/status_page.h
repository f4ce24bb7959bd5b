// The page that a browser gets: workers, and how many jobs and tasks are in which state.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/scheduler/core.h"
#include "storage/state/records.h"

namespace distill::server {

// What the page shows, gathered by the caller.
struct StatusFacts {
  absl::Time now;
  CoreTotals totals;
  std::vector<WorkerView> workers;
  std::vector<storage::JobRecord> jobs;  // Newest first.
};

// A complete HTML page without scripts; text of people is escaped.
std::string RenderStatusPage(const StatusFacts& facts);

}  // namespace distill::server
