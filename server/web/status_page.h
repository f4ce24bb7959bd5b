// The page that a browser gets: a program of static files that asks the API gateway for the rest,
// and a summary for browsers that run no scripts.
#pragma once

#include <map>
#include <string>

#include "base/observability_server.h"
#include "server/web/api_gateway.h"

namespace distill::server {

// Thread-safe.
class StatusPage {
 public:
  // Whether browsers without scripts, which cannot say who asks, see jobs and workers.
  enum class Summary { kShown, kHidden };

  // `gateway` must outlive the page.
  StatusPage(ApiGateway& gateway, Summary summary);

  // Answers "/" and everything below "/static/".
  WebResponse Handle(const WebRequest& request) const;

 private:
  WebResponse Index(const WebRequest& request) const;

  ApiGateway* const gateway_;
  const Summary summary_;
  std::map<std::string, std::string> etags_;  // By name of the static file.
};

}  // namespace distill::server
