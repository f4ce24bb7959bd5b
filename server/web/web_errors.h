// What a browser gets in place of an answer: the HTTP status that fits, and the error of the API.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "base/observability_server.h"

namespace distill::server {

// As google.rpc.Code is mapped to HTTP everywhere: kNotFound is 404, and so on.
int HttpStatus(absl::StatusCode code);

// google.rpc.Status as JSON: {"code":5,"message":"...","details":[...]}.
std::string ErrorJson(const absl::Status& status);

WebResponse ErrorResponse(const absl::Status& status);

}  // namespace distill::server
