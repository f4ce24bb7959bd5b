// The small HTTP server that every daemon runs beside its real work: metrics, health and, where a
// program adds them, pages for people. Plain HTTP, read-only, meant for a private network.
//
//   GET /metrics  Prometheus text          GET /healthz  200 while the process serves at all
//   GET /readyz   200, or 503 and the reason why this process should get no work yet
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "base/prometheus_metrics.h"

namespace distill {

struct WebRequest {
  std::string path;
  std::map<std::string, std::string> query;  // The first value of each parameter.
};

struct WebResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// Not thread-safe itself; handlers run on the server's own threads, several at once.
class ObservabilityServer {
 public:
  using Handler = std::function<WebResponse(const WebRequest&)>;

  struct Config {
    std::string host = "127.0.0.1";
    int port = 0;  // 0: the system chooses; see port().
    int threads = 4;
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
  // Refuses new connections, finishes running requests and joins all threads. Idempotent.
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
