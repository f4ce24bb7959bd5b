#include "client/cli/exit_code.h"

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/error_details.h"

namespace distill::client {
namespace {

absl::string_view Hint(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      return "is the server running? `distill dev` starts one here; --server, DISTILL_SERVER or a "
             "context names another (`distill context show` says which one is meant, and why). If "
             "it runs, do its certificate and --tls-ca fit? docs/security.md tells";
    case absl::StatusCode::kDeadlineExceeded:
      return "the server did not answer in time; see its log and its /readyz page";
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return "ask whoever runs the server for access; `distill whoami` shows what you have";
    default:
      return "";
  }
}

// Adds what the details say beyond the message: fields that it left out, conditions, bounds, and
// the reason, which docs/errors.md explains.
void PrintDetails(const absl::Status& status, std::ostream& out) {
  const ErrorDetails details = DetailsOf(status);
  for (const ErrorViolation& field : details.fields) {
    if (absl::StrContains(status.message(), field.description)) continue;
    out << "  " << field.subject << ": " << field.description << "\n";
  }
  for (const ErrorViolation& condition : details.preconditions) {
    out << "  needs: " << condition.subject << ": " << condition.description << "\n";
  }
  for (const ErrorViolation& quota : details.quotas) {
    out << "  limit of " << quota.subject << ": " << quota.description << "\n";
  }
  if (!details.reason.empty()) out << "  reason: " << details.reason << "\n";
  if (details.retry_delay.has_value()) {
    out << "  try again in " << absl::FormatDuration(*details.retry_delay) << "\n";
  }
}

}  // namespace

const std::vector<ExitCodeInfo>& ExitCodes() {
  static const auto* const codes = new std::vector<ExitCodeInfo>{
      {ExitCode::kOk, "done; the job succeeded"},
      {ExitCode::kFailed, "the job failed, or an error without a code of its own"},
      {ExitCode::kUsage, "the command line is wrong"},
      {ExitCode::kNotFound,
       "no such job, task, artifact, worker, data set, context, file or program"},
      {ExitCode::kNotAllowed, "not allowed"},
      {ExitCode::kInvalidSpec, "the job is invalid, or another value is"},
      {ExitCode::kExhausted, "a quota, the disk or a limit is exhausted"},
      {ExitCode::kUnavailable, "the server cannot be reached, or did not answer in time"},
      {ExitCode::kCancelled, "the job was cancelled"},
      {ExitCode::kInterrupted, "Ctrl-C"},
  };
  return *codes;
}

ExitCode ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return ExitCode::kOk;
    case absl::StatusCode::kNotFound:
      return ExitCode::kNotFound;
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return ExitCode::kNotAllowed;
    case absl::StatusCode::kInvalidArgument:
      return ExitCode::kInvalidSpec;
    case absl::StatusCode::kResourceExhausted:
      return ExitCode::kExhausted;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return ExitCode::kUnavailable;
    case absl::StatusCode::kCancelled:
      return ExitCode::kCancelled;
    default:
      return ExitCode::kFailed;
  }
}

ExitCode ExitCodeOf(v1::JobState state) {
  switch (state) {
    case v1::JOB_STATE_SUCCEEDED:
      return ExitCode::kOk;
    case v1::JOB_STATE_CANCELLED:
      return ExitCode::kCancelled;
    default:
      return ExitCode::kFailed;
  }
}

void PrintError(const absl::Status& status, std::ostream& out) {
  out << "error: " << status.message() << "\n";
  PrintDetails(status, out);
  const absl::string_view hint = Hint(status);
  if (!hint.empty()) out << "hint: " << hint << "\n";
  out.flush();
}

}  // namespace distill::client
