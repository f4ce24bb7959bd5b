// The fleet, the jobs and the queue at one moment, on one screen.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/cli/environment.h"
#include "distill/v1/fleet_service.pb.h"
#include "distill/v1/job.pb.h"
#include "distill/v1/task.pb.h"

namespace distill::client {

// A job that is not over, with those of its tasks that are not over either.
struct ActiveJob {
  v1::Job job;
  std::vector<v1::Task> tasks;
};

struct TopSnapshot {
  std::string server;
  absl::Time now;
  std::vector<v1::Worker> workers;
  std::vector<ActiveJob> active;
  // Active jobs that were left out because there are too many.
  int jobs_left_out = 0;
  // Newest first.
  std::vector<v1::Job> finished;
};

struct TopStyle {
  TerminalSize size;
  bool color = false;
  // Keep to the size; otherwise every line is printed, as wide as it is.
  bool fit = false;
};

std::vector<std::string> RenderTop(const TopSnapshot& snapshot, const TopStyle& style);

// The same as JSON: {"time": ..., "server": ..., "workers": [...], "jobs": [...], "tasks": [...]}.
std::string TopJson(const TopSnapshot& snapshot);

}  // namespace distill::client
