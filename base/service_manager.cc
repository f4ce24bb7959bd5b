#include "base/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/log.h"

namespace distill {
namespace {

// Takes a variable out of the environment; "" when it is not set.
std::string Take(const char* name) {
  const char* const found = getenv(name);
  std::string value = found == nullptr ? "" : found;
  unsetenv(name);
  return value;
}

// A message has one assignment a line.
std::string OneLine(absl::string_view text) { return absl::StrReplaceAll(text, {{"\n", " "}}); }

}  // namespace

ServiceManager ServiceManager::FromEnvironment() {
  std::string socket = Take("NOTIFY_SOCKET");
  const std::string pid = Take("WATCHDOG_PID");
  const std::string timeout = Take("WATCHDOG_USEC");
  int64_t microseconds = 0;
  const bool watched = absl::SimpleAtoi(timeout, &microseconds) && microseconds > 0 &&
                       (pid.empty() || pid == absl::StrCat(getpid()));
  return {std::move(socket), watched ? absl::Microseconds(microseconds) : absl::InfiniteDuration()};
}

ServiceManager::ServiceManager(std::string socket, absl::Duration watchdog)
    : socket_(std::move(socket)), watchdog_(watchdog) {}

void ServiceManager::Ready(absl::string_view status) const {
  Send(absl::StrCat("READY=1\nSTATUS=", OneLine(status)));
}

void ServiceManager::SetStatus(absl::string_view status) const {
  Send(absl::StrCat("STATUS=", OneLine(status)));
}

void ServiceManager::Stopping() const { Send("STOPPING=1"); }

void ServiceManager::Alive() const { Send("WATCHDOG=1"); }

void ServiceManager::Send(const std::string& message) const {
  if (socket_.empty()) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t length = std::min(socket_.size(), sizeof(address.sun_path) - 1);
  std::memcpy(address.sun_path, socket_.data(), length);
  if (socket_.front() == '@') address.sun_path[0] = '\0';
  const int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const auto address_length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  if (descriptor < 0 || sendto(descriptor, message.data(), message.size(), MSG_NOSIGNAL,
                               reinterpret_cast<sockaddr*>(&address), address_length) < 0) {
    LogWarning("cannot tell the service manager",
               {{"socket", socket_}, {"cause", strerror(errno)}});
  }
  if (descriptor >= 0) close(descriptor);
}

}  // namespace distill
