// The manager is a datagram socket, as systemd's is.
#include "base/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace distill {
namespace {

class Manager {
 public:
  // `name` begins with '@' for an abstract socket.
  explicit Manager(const std::string& name) : name_(name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name.front() == '@') address.sun_path[0] = '\0';
    descriptor_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(bind(descriptor_, reinterpret_cast<sockaddr*>(&address),
                   static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size())),
              0);
  }
  ~Manager() {
    close(descriptor_);
    if (name_.front() != '@') unlink(name_.c_str());
  }

  // The next message; "" when there is none.
  std::string Next() const {
    char buffer[256];
    const ssize_t size = recv(descriptor_, buffer, sizeof(buffer), MSG_DONTWAIT);
    return size > 0 ? std::string(buffer, static_cast<size_t>(size)) : "";
  }

 private:
  const std::string name_;
  int descriptor_ = -1;
};

TEST(ServiceManagerTest, IsToldEverything) {
  for (const std::string& name : {absl::StrCat(testing::TempDir(), "/manager-", getpid()),
                                  absl::StrCat("@distill-", getpid())}) {
    const Manager manager(name);
    const ServiceManager notifier(name, absl::Seconds(30));
    EXPECT_EQ(notifier.alive_interval(), absl::Seconds(10));
    notifier.Ready("serves\nREADY=0");
    EXPECT_EQ(manager.Next(), "READY=1\nSTATUS=serves READY=0");
    notifier.Alive();
    EXPECT_EQ(manager.Next(), "WATCHDOG=1");
    notifier.SetStatus("stands by");
    EXPECT_EQ(manager.Next(), "STATUS=stands by");
    notifier.Stopping();
    EXPECT_EQ(manager.Next(), "STOPPING=1");
    EXPECT_EQ(manager.Next(), "");
  }
}

TEST(ServiceManagerTest, WithoutOneNothingHappens) {
  unsetenv("NOTIFY_SOCKET");
  const ServiceManager none = ServiceManager::FromEnvironment();
  EXPECT_EQ(none.alive_interval(), absl::InfiniteDuration());
  none.Ready("serves");
  const ServiceManager gone("/no/such/socket", absl::InfiniteDuration());
  gone.Alive();
}

TEST(ServiceManagerTest, TheEnvironmentIsTakenAndNotHandedOn) {
  setenv("NOTIFY_SOCKET", "/no/such/socket", 1);
  setenv("WATCHDOG_USEC", "3000000", 1);
  setenv("WATCHDOG_PID", absl::StrCat(getpid()).c_str(), 1);
  EXPECT_EQ(ServiceManager::FromEnvironment().alive_interval(), absl::Seconds(1));
  EXPECT_EQ(getenv("NOTIFY_SOCKET"), nullptr);
  EXPECT_EQ(getenv("WATCHDOG_USEC"), nullptr);
  EXPECT_EQ(getenv("WATCHDOG_PID"), nullptr);
}

TEST(ServiceManagerTest, AnothersWatchdogIsNotOurs) {
  setenv("WATCHDOG_USEC", "3000000", 1);
  setenv("WATCHDOG_PID", "1", 1);
  EXPECT_EQ(ServiceManager::FromEnvironment().alive_interval(), absl::InfiniteDuration());
}

}  // namespace
}  // namespace distill
