// The exit codes of `distill`, which scripts rely on (docs/cli.md), and how errors are told to
// people.
#pragma once

#include <ostream>
#include <vector>

#include "absl/status/status.h"
#include "distill/v1/job.pb.h"

namespace distill::client {

enum class ExitCode {
  kOk = 0,
  // The job failed, or anything went wrong that has no code of its own.
  kFailed = 1,
  kUsage = 2,
  kNotFound = 3,
  kNotAllowed = 4,
  kInvalidSpec = 5,
  kExhausted = 6,
  kUnavailable = 7,
  kCancelled = 8,
  kInterrupted = 130,
};

struct ExitCodeInfo {
  ExitCode code;
  const char* meaning;
};

// In order of number.
const std::vector<ExitCodeInfo>& ExitCodes();

ExitCode ExitCodeOf(const absl::Status& status);

// What a finished job means for the command that waited for it.
ExitCode ExitCodeOf(v1::JobState state);

// Writes "error: <message>" and, where one is known, "hint: <remedy>".
void PrintError(const absl::Status& status, std::ostream& out);

}  // namespace distill::client
