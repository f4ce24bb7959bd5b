// The small HTTP server that every daemon runs beside its real work: metrics, health and, where a
// program adds them, pages for people and streams of events. Plain HTTP, read-only, meant for a
// private network.
//
//   GET /metrics  Prometheus text          GET /healthz  200 while the process serves at all
//   GET /readyz   200, or 503 and the reason why this process should get no work yet
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/prometheus_metrics.h"

namespace distill {

struct WebRequest {
  std::string path;
  std::map<std::string, std::string> query;    // The first value of each parameter.
  std::map<std::string, std::string> headers;  // Likewise, of each header; names in lower case.

  // Empty when there is none. `name` in lower case.
  std::string Header(const std::string& name) const;
  std::string Query(const std::string& name) const;
};

// A body that is sent piece by piece while it comes about.
class WebStream {
 public:
  virtual ~WebStream() = default;

  // Waits for the next piece, which is not empty; nothing once the stream is over. Called by one
  // thread at a time, on which it may block. Clients that went away are noticed only when
  // something is sent, so a quiet stream sends something void every few seconds.
  virtual std::optional<std::string> Next() = 0;
  // Lets the present and every later Next() return nothing, soon. Thread-safe.
  virtual void Cancel() = 0;
};

struct WebResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
  // In place of `body`. Destroyed when the client is gone or the stream is over.
  std::unique_ptr<WebStream> stream = nullptr;
};

// Not thread-safe itself; handlers run on the server's own threads, several at once.
class ObservabilityServer {
 public:
  using Handler = std::function<WebResponse(const WebRequest&)>;

  struct Config {
    std::string host = "127.0.0.1";
    int port = 0;  // 0: the system chooses; see port().
    // For requests that are answered at once. Streams have threads of their own, made as needed.
    int threads = 4;
    // Open at a time; more are refused with 503.
    int max_streams = 0;
  };

  // `metrics` must outlive the server. `readiness` returns OK, or the reason for "not ready".
  ObservabilityServer(Config config, const PrometheusMetrics& metrics,
                      std::function<absl::Status()> readiness);
  // Stops.
  ~ObservabilityServer();

  // Serves `path` with `handler`. A path that ends in "/" also gets everything below it, unless a
  // longer one matches. Only before Start().
  void AddGet(const std::string& path, Handler handler);

  // Binds and starts the threads. Once. kUnavailable when the address cannot be bound.
  absl::Status Start();
  // Refuses new connections, ends streams, finishes running requests and joins all threads.
  // Idempotent.
  void Stop();
  // The bound port, after Start().
  int port() const { return port_; }

 private:
  class Impl;

  const Config config_;
  std::unique_ptr<Impl> impl_;
  int port_ = 0;
};

}  // namespace distill
