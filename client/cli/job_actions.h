// What several commands do with a job: watch it to its end, print its report.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "client/cli/session.h"
#include "distill/v1/report.pb.h"
#include "distill/v1/task.pb.h"

namespace distill::client {

// Where the watch goes, and how.
enum class WatchOutput {
  // The command's data: lines or JSON events.
  kData,
  // Beside data of another kind.
  kNotes,
  // Nothing but waiting.
  kNone,
};

// Shows a job until it is terminal and returns the exit code that it earned. When interrupted,
// leaves the job alone, says how to re-attach, and returns kInterrupted.
absl::StatusOr<ExitCode> WatchToEnd(Session& session, Client& client, const std::string& job,
                                    WatchOutput output);

// Reads the training curve of a task; of one whose result was reused, the curve of the task that
// ran. Empty for tasks that train nothing.
absl::StatusOr<v1::Series> ReadCurve(Client& client, const v1::Task& task);

// Writes report.json, report.md and series/<task>.csv below `directory`.
absl::Status SaveReport(Client& client, const v1::Report& report, const std::string& directory);

}  // namespace distill::client
