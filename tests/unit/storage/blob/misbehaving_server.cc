#include "tests/unit/storage/blob/misbehaving_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/check.h"

namespace distill::storage {
namespace {

// Appends what comes next to `input`; false when nothing does.
bool ReadMore(int connection, std::string& input) {
  char buffer[65536];
  const ssize_t got = recv(connection, buffer, sizeof(buffer), 0);
  if (got <= 0) return false;
  input.append(buffer, static_cast<size_t>(got));
  return true;
}

void WriteAll(int connection, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (put <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(put));
  }
}

}  // namespace

MisbehavingServer::MisbehavingServer() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  DISTILL_CHECK(bind(listener_, any, size) == 0, "a port of loopback is free");
  DISTILL_CHECK(listen(listener_, 64) == 0, "a bound socket can listen");
  DISTILL_CHECK(getsockname(listener_, any, &size) == 0, "a bound socket has a name");
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

MisbehavingServer::~MisbehavingServer() {
  std::vector<std::thread> threads;
  {
    const MutexLock lock(mu_);
    stopping_ = true;
    shutdown(listener_, SHUT_RDWR);
    for (const int connection : connections_) shutdown(connection, SHUT_RDWR);
  }
  acceptor_.join();
  {
    const MutexLock lock(mu_);
    threads = std::move(threads_);
  }
  for (std::thread& thread : threads) thread.join();
  close(listener_);
}

std::string MisbehavingServer::endpoint() const { return absl::StrCat("http://127.0.0.1:", port_); }

void MisbehavingServer::Plan(Misbehaviour next) {
  const MutexLock lock(mu_);
  plans_.push_back(std::move(next));
}

std::vector<SeenRequest> MisbehavingServer::seen() const {
  const MutexLock lock(mu_);
  return seen_;
}

void MisbehavingServer::Accept() {
  while (true) {
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) return;
    const MutexLock lock(mu_);
    if (stopping_) {
      close(connection);
      return;
    }
    connections_.push_back(connection);
    threads_.emplace_back([this, connection] { Serve(connection); });
  }
}

void MisbehavingServer::Serve(int connection) {
  std::string input;
  while (ServeOne(connection, input)) {
  }
  const MutexLock lock(mu_);
  connections_.erase(std::find(connections_.begin(), connections_.end(), connection));
  close(connection);
}

bool MisbehavingServer::ServeOne(int connection, std::string& input) {
  size_t end = input.find("\r\n\r\n");
  for (; end == std::string::npos; end = input.find("\r\n\r\n")) {
    if (!ReadMore(connection, input)) return false;
  }
  SeenRequest request;
  std::vector<std::string> lines = absl::StrSplit(input.substr(0, end), "\r\n");
  request.line = lines.front();
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::pair<std::string, std::string> header =
        absl::StrSplit(lines[i], absl::MaxSplits(": ", 1));
    request.headers[absl::AsciiStrToLower(header.first)] = header.second;
  }
  size_t length = 0;
  if (!absl::SimpleAtoi(request.headers["content-length"], &length)) length = 0;
  if (request.headers.count("expect") > 0) WriteAll(connection, "HTTP/1.1 100 Continue\r\n\r\n");
  while (input.size() < end + 4 + length) {
    if (!ReadMore(connection, input)) return false;
  }
  request.body = input.substr(end + 4, length);
  input.erase(0, end + 4 + length);
  const bool head = request.line.rfind("HEAD", 0) == 0;
  Misbehaviour plan;
  {
    const MutexLock lock(mu_);
    seen_.push_back(std::move(request));
    if (!plans_.empty()) {
      plan = std::move(plans_.front());
      plans_.pop_front();
    }
  }
  if (plan.silent) return false;
  if (plan.stall) return ReadMore(connection, input);
  std::string answer = absl::StrCat("HTTP/1.1 ", plan.status, " X\r\n");
  if (plan.headers.count("content-length") == 0) {
    absl::StrAppend(&answer, "content-length: ", plan.body.size(), "\r\n");
  }
  for (const auto& [name, value] : plan.headers)
    absl::StrAppend(&answer, name, ": ", value, "\r\n");
  absl::StrAppend(&answer, "\r\n");
  if (!head) answer += plan.body.substr(0, plan.cut_after);
  WriteAll(connection, answer);
  return plan.cut_after >= plan.body.size();
}

}  // namespace distill::storage
