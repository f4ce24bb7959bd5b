// One HTTP exchange at a time, over libcurl: bodies stream both ways, connections are kept and
// reused, certificates are checked. Knows nothing of S3, does not retry and follows no redirect.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/mutex.h"

namespace distill::storage {

// Fills `out` from `offset` of the body; returns how many bytes, at least 1 and at most `size`. May
// be asked for the beginning again.
using HttpBody = std::function<absl::StatusOr<size_t>(uint64_t offset, char* out, size_t size)>;
// Takes the next bytes of an answer; an error ends the exchange and is what Send() returns.
using HttpSink = std::function<absl::Status(absl::string_view bytes)>;

// Returns the body that these bytes are; they must outlive it.
HttpBody BodyOf(absl::string_view bytes);

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // Names in lower case.
  // Without a sink, and always when the status is not 2xx. At most 1 MiB of it.
  std::string body;
};

struct HttpRequest {
  std::string method;
  std::string url;  // Never part of an error message: it may hold a signature.
  std::vector<std::pair<std::string, std::string>> headers;
  HttpBody body;
  uint64_t body_size = 0;
  // Called once before the body of a 2xx answer, which may be cut later.
  std::function<void(const HttpResponse& so_far)> on_answer;
  // Asked several times a second; true ends the exchange.
  std::function<bool()> cancelled;
};

// Thread-safe; each call has a connection of its own.
class HttpClient {
 public:
  struct Config {
    std::string ca_file;  // Of certificates to trust; empty: the system's.
    absl::Duration connect_timeout = absl::Seconds(10);
    // An exchange in which nothing moves for that long is cut.
    absl::Duration idle_timeout = absl::Seconds(60);
    size_t kept_connections = 64;
  };

  explicit HttpClient(Config config);
  ~HttpClient();

  // Sends the request and returns the answer, whatever its status; a 2xx body goes to `sink` if
  // there is one. Blocks.
  // Errors: kUnavailable (no connection, cut, or stalled: retry), kFailedPrecondition (certificate
  // or CA file wrong: do not), kInvalidArgument (not an http or https URL), kCancelled, and those
  // of the body and of the sink.
  absl::StatusOr<HttpResponse> Send(const HttpRequest& request, const HttpSink& sink = nullptr)
      ABSL_LOCKS_EXCLUDED(mu_);

 private:
  class Exchange;
  class Handle;

  std::unique_ptr<Handle> TakeHandle() ABSL_LOCKS_EXCLUDED(mu_);
  void KeepHandle(std::unique_ptr<Handle> handle) ABSL_LOCKS_EXCLUDED(mu_);

  const Config config_;
  Mutex mu_;
  std::vector<std::unique_ptr<Handle>> idle_ ABSL_GUARDED_BY(mu_);
};

}  // namespace distill::storage
