// The job that commands are given as a file and changes to it: job submit, job render.
#pragma once

#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/session.h"
#include "client/jobfile/job_file.h"

namespace distill::client {

struct JobFileOptions {
  std::string file;
  std::vector<std::string> overrides;
  bool full_eval = false;
};

// `options` outlives the parsing of the command line.
void AddJobFileOptions(CLI::App& command, JobFileOptions& options);

// Reads the file, puts the job into the session's project unless it names one, and changes it.
absl::StatusOr<JobFile> ReadJob(Session& session, const JobFileOptions& options);

// Leads the server's complaint about a field back to the line of the file that holds it.
absl::Status Located(const JobFile& file, const absl::Status& status);

}  // namespace distill::client
