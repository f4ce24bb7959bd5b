#include "tests/support/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace distill {
namespace {

constexpr int kPatienceMilliseconds = 60'000;

}  // namespace

HttpConnection::HttpConnection(int port, absl::string_view request)
    : descriptor_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      send(descriptor_, request.data(), request.size(), MSG_NOSIGNAL) < 0) {
    shutdown(descriptor_, SHUT_RDWR);
  }
}

HttpConnection::~HttpConnection() { close(descriptor_); }

bool HttpConnection::ReadMore() {
  pollfd ready = {descriptor_, POLLIN, 0};
  if (poll(&ready, 1, kPatienceMilliseconds) <= 0) return false;
  char buffer[4096];
  const ssize_t got = read(descriptor_, buffer, sizeof(buffer));
  if (got <= 0) return false;
  received_.append(buffer, static_cast<size_t>(got));
  return true;
}

const std::string& HttpConnection::ReadUntil(absl::string_view text) {
  while (received_.find(std::string(text)) == std::string::npos && ReadMore()) {
  }
  return received_;
}

const std::string& HttpConnection::ReadAll() {
  while (ReadMore()) {
  }
  return received_;
}

std::string HttpGet(int port, absl::string_view target, absl::string_view headers) {
  HttpConnection connection(
      port, absl::StrCat("GET ", target, " HTTP/1.1\r\nHost: localhost\r\n", headers, "\r\n"));
  return connection.ReadAll();
}

int PortOf(absl::string_view address) {
  int port = 0;
  const bool found = absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port);
  return found ? port : 0;
}

}  // namespace distill
