#include "client/cli/exit_code.h"

#include "absl/strings/string_view.h"

namespace distill::client {
namespace {

absl::string_view Hint(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      return "is the server running? `distill dev` starts one here; --server or DISTILL_SERVER "
             "names another";
    case absl::StatusCode::kDeadlineExceeded:
      return "the server did not answer in time; see its log and its /readyz page";
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return "ask whoever runs the server for access";
    default:
      return "";
  }
}

}  // namespace

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
  const absl::string_view hint = Hint(status);
  if (!hint.empty()) out << "hint: " << hint << "\n";
  out.flush();
}

}  // namespace distill::client
