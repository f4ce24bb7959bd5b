// The least of an HTTP client: sends a request as it is written and shows what comes back, byte for
// byte.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace distill {

// One connection to a port of this machine. One thread.
class HttpConnection {
 public:
  // Sends `request` as it is.
  HttpConnection(int port, absl::string_view request);
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  // Reads until `text` has come, and returns all that has; also when the server closes first, or
  // says nothing for a minute.
  const std::string& ReadUntil(absl::string_view text);
  // Reads until the server closes.
  const std::string& ReadAll();

 private:
  bool ReadMore();

  int descriptor_;
  std::string received_;
};

// Returns the whole answer: status line, headers and body. `headers` are lines that end in "\r\n".
std::string HttpGet(int port, absl::string_view target, absl::string_view headers = "");
// Of the address that a server says it listens on.
int PortOf(absl::string_view address);

}  // namespace distill
