#include "server/web/web_errors.h"

#include "proto/status/grpc_status.h"
#include "server/web/json.h"

namespace distill::server {

int HttpStatus(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kAlreadyExists:
      return 409;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kCancelled:
      return 499;
    case absl::StatusCode::kUnimplemented:
      return 501;
    case absl::StatusCode::kUnavailable:
      return 503;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    default:
      return 500;
  }
}

std::string ErrorJson(const absl::Status& status) { return ToJson(ToRpcStatus(status)); }

WebResponse ErrorResponse(const absl::Status& status) {
  WebResponse response;
  response.status = HttpStatus(status.code());
  response.content_type = "application/json";
  response.body = ErrorJson(status);
  // A browser would otherwise ask for a password in a window of its own; the page has a field.
  if (response.status == 401) response.headers = {{"WWW-Authenticate", "Bearer"}};
  return response;
}

}  // namespace distill::server
