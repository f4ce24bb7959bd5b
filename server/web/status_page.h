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
  // `gateway` must outlive the page.
  explicit StatusPage(ApiGateway& gateway);

  // Answers "/" and everything below "/static/".
  WebResponse Handle(const WebRequest& request) const;

 private:
  WebResponse Index(const WebRequest& request) const;

  ApiGateway* const gateway_;
  std::map<std::string, std::string> etags_;  // By name of the static file.
};

}  // namespace distill::server
