// The API for browsers: each GET below /api/v1/ is one call of the gRPC API, made as the caller
// that the Authorization header names, and answered as JSON (docs/status-page.md lists the paths).
//
// It knows nothing but the API: what a page may see, and what is kept of who looked, is decided
// where it is for every other client. There is no path that changes anything.
#pragma once

#include <memory>
#include <string>

#include "base/metrics.h"
#include "base/observability_server.h"
#include "grpcpp/channel.h"

namespace distill::server {

// Thread-safe.
class ApiGateway {
 public:
  // `channel` leads to the API; `metrics` must outlive the gateway.
  ApiGateway(const std::shared_ptr<grpc::Channel>& channel, Metrics& metrics);
  // Stops.
  ~ApiGateway();

  // Answers one request below /api/v1/. Blocks for as long as the call takes, at most ten seconds;
  // streams of events come as WebResponse::stream.
  WebResponse Handle(const WebRequest& request);
  // The newest jobs and the workers as a fragment of HTML, for browsers that run no scripts; says
  // why not when the caller may not see them.
  std::string Summary(const WebRequest& request);

  // Ends all streams, soon. Idempotent.
  void Stop();

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace distill::server
