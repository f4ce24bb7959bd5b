// What a trainer finds around it, seen from a child that entered the sandbox.
#include "worker/agent/trainer_sandbox.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "gtest/gtest.h"

namespace distill::worker {
namespace {

// Returns what `look` says inside, as an exit status.
int Inside(const TrainerSandbox& sandbox, const std::function<int(bool isolated)>& look) {
  const pid_t child = fork();
  if (child == 0) {
    const bool isolated = sandbox.Enter();
    _exit(look(isolated));
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(TrainerSandboxTest, TakesPrivilegesFilesAndCoresAway) {
  TrainerSandbox::Limits limits;
  limits.open_files = 64;
  limits.file_bytes = 1 << 20;
  const TrainerSandbox sandbox(limits);
  EXPECT_EQ(Inside(sandbox, [](bool) { return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); }), 1);
  const auto most = [](decltype(RLIMIT_CORE) resource) {
    rlimit limit = {};
    getrlimit(resource, &limit);
    return limit.rlim_max;
  };
  EXPECT_EQ(Inside(sandbox, [&](bool) { return most(RLIMIT_CORE) == 0 ? 7 : 8; }), 7);
  EXPECT_EQ(Inside(sandbox, [&](bool) { return most(RLIMIT_NOFILE) == 64 ? 7 : 8; }), 7);
  EXPECT_EQ(Inside(sandbox, [&](bool) { return most(RLIMIT_FSIZE) == 1 << 20 ? 7 : 8; }), 7);
}

TEST(TrainerSandboxTest, HasNoNetworkWhereTheSystemAllows) {
  const bool possible = CanLeaveNetwork();
  EXPECT_EQ(Inside(TrainerSandbox(), [](bool isolated) { return isolated ? 1 : 0; }),
            possible ? 1 : 0);
  if (!possible) GTEST_SKIP() << "this user may not make a network namespace";
  // Not even to itself: the loopback of the new namespace is down.
  EXPECT_EQ(Inside(TrainerSandbox(),
                   [](bool) {
                     const int here = socket(AF_INET, SOCK_DGRAM, 0);
                     sockaddr address = {AF_INET, {0, 9, 127, 0, 0, 1}};
                     return connect(here, &address, sizeof(address)) == 0 ? 0 : 1;
                   }),
            1);
}

// It goes on to be the user that it was: it must read its inputs and write its results.
TEST(TrainerSandboxTest, KeepsItsUser) {
  const uid_t user = getuid();
  EXPECT_EQ(Inside(TrainerSandbox(), [user](bool) { return getuid() == user ? 7 : 8; }), 7);
}

}  // namespace
}  // namespace distill::worker
