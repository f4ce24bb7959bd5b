// `distill dev` as a supervisor, with shell scripts in place of the server and the workers: they do
// as they are told, which the real ones, being correct, do not.
#include <signal.h>
#include <sys/stat.h>

#include <string>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "base/file.h"
#include "client/cli/dev_fleet.h"
#include "gmock/gmock.h"
#include "tests/integration/cli/command_runner.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill::client {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// Reads the two options that matter, appends its process id to <data-dir>.pids, and gets ready.
constexpr char kPreamble[] = R"(#!/bin/sh
for argument in "$@"; do
  case "$argument" in
    --data-dir=*) data="${argument#*=}" ;;
    --addresses-file=*) addresses="${argument#*=}" ;;
  esac
done
echo "$@" >> "$data.arguments"
echo $$ >> "$data.pids"
)";
constexpr char kReady[] = R"(
printf 'grpc=127.0.0.1:7\nhttp=127.0.0.1:8\n' > "$addresses.new"
mv "$addresses.new" "$addresses"
)";
// Comes before kReady: whoever is ready may be told to stop at once.
constexpr char kHeedsTerm[] = R"(
trap 'echo stopped >> "$data.stopped"; kill $!; exit 0' TERM
tail -f /dev/null &
)";
constexpr char kDeafToTerm[] = R"(
trap '' TERM
tail -f /dev/null &
)";
// Lets a trap run at once.
constexpr char kWait[] = "wait\n";

class DevTest : public ::testing::Test {
 protected:
  DevTest() {
    WriteProgram("distill-server", absl::StrCat(kPreamble, kHeedsTerm, kReady, kWait));
    WriteProgram("distill-worker", absl::StrCat(kPreamble, kHeedsTerm, kReady, kWait));
  }

  void WriteProgram(const std::string& name, const std::string& text) {
    ASSERT_THAT(WriteFileAtomically(programs_.Join(name), text), IsOk());
    ASSERT_EQ(chmod(programs_.Join(name).c_str(), 0755), 0);
  }

  absl::StatusOr<std::unique_ptr<DevFleet>> StartFleet(int workers) {
    DevFleetOptions options;
    options.program_directory = programs_.path();
    options.data_directory = data_.path();
    options.workers = workers;
    options.first_restart = absl::Milliseconds(10);
    options.stop_within = stop_within_;
    return DevFleet::Start(options, &clock_, &interrupt_, [this](absl::string_view line) {
      MutexLock lock(mu_);
      notes_.emplace_back(line);
    });
  }

  // Process ids of all runs of a member so far.
  std::vector<pid_t> Pids(const std::string& member) const {
    std::vector<pid_t> pids;
    const auto text = ReadFile(data_.Join(member + ".pids"));
    for (const absl::string_view line :
         absl::StrSplit(text.ok() ? *text : "", '\n', absl::SkipEmpty())) {
      pid_t pid = 0;
      if (absl::SimpleAtoi(line, &pid)) pids.push_back(pid);
    }
    return pids;
  }

  static bool IsAlive(pid_t pid) { return kill(pid, 0) == 0; }

  const TempDir programs_;
  const TempDir data_;
  SystemClock clock_;
  Interrupt interrupt_;
  absl::Duration stop_within_ = absl::Seconds(20);
  Mutex mu_;
  std::vector<std::string> notes_ ABSL_GUARDED_BY(mu_);
};

TEST_F(DevTest, StopsAllChildrenInOrderAndLeavesNone) {
  auto fleet = StartFleet(2);
  ASSERT_THAT(fleet, IsOk());
  EXPECT_EQ((*fleet)->server().grpc, "127.0.0.1:7");
  EXPECT_THAT((*fleet)->workers(), SizeIs(2));
  EXPECT_TRUE(FileExists(data_.Join("addresses")));
  fleet->reset();
  for (const char* const member : {"server", "worker-1", "worker-2"}) {
    ASSERT_THAT(Pids(member), SizeIs(1));
    EXPECT_FALSE(IsAlive(Pids(member)[0])) << member;
    EXPECT_THAT(ReadFile(data_.Join(absl::StrCat(member, ".stopped"))), IsOkAndHolds("stopped\n"));
  }
  // Nobody is to be sent to a server that is gone.
  EXPECT_FALSE(FileExists(data_.Join("addresses")));
}

TEST_F(DevTest, StartsACrashedChildAgainAtTheSameAddressAndSaysSo) {
  auto fleet = StartFleet(1);
  ASSERT_THAT(fleet, IsOk());
  kill(-Pids("server")[0], SIGKILL);
  while (Pids("server").size() < 2) std::this_thread::yield();
  fleet->reset();
  EXPECT_THAT(ReadFile(data_.Join("server.arguments")),
              IsOkAndHolds(HasSubstr("--listen=127.0.0.1:7 --http=127.0.0.1:8")));
  MutexLock lock(mu_);
  EXPECT_THAT(notes_, Contains(HasSubstr("server was killed by signal 9; starting it again in ")));
}

TEST_F(DevTest, KillsAChildThatDoesNotStop) {
  WriteProgram("distill-worker", absl::StrCat(kPreamble, kDeafToTerm, kReady, kWait));
  stop_within_ = absl::Milliseconds(50);
  auto fleet = StartFleet(1);
  ASSERT_THAT(fleet, IsOk());
  fleet->reset();
  EXPECT_FALSE(IsAlive(Pids("worker-1")[0]));
}

TEST_F(DevTest, ASecondInterruptKillsAtOnce) {
  WriteProgram("distill-worker", absl::StrCat(kPreamble, kDeafToTerm, kReady, kWait));
  stop_within_ = absl::Hours(1);
  auto fleet = StartFleet(1);
  ASSERT_THAT(fleet, IsOk());
  interrupt_.Request();
  interrupt_.Request();
  fleet->reset();
  EXPECT_FALSE(IsAlive(Pids("worker-1")[0]));
}

TEST_F(DevTest, AServerThatCannotStartIsAnErrorWithItsLastWords) {
  WriteProgram("distill-server", "#!/bin/sh\necho 'cannot listen: port in use' >&2\nexit 3\n");
  EXPECT_THAT(StartFleet(1), StatusIs(absl::StatusCode::kUnavailable,
                                      AllOf(HasSubstr("cannot start server: it exited with code 3"),
                                            HasSubstr("\n  cannot listen: port in use"))));
}

TEST_F(DevTest, AMissingProgramIsAnErrorThatSaysHowToGetIt) {
  ASSERT_THAT(RemoveFile(programs_.Join("distill-worker")), IsOk());
  EXPECT_THAT(StartFleet(1),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("`./dev build` makes it")));
  EXPECT_FALSE(IsAlive(Pids("server").at(0)));
}

TEST_F(DevTest, TwoFleetsDoNotShareADirectory) {
  auto fleet = StartFleet(0);
  ASSERT_THAT(fleet, IsOk());
  EXPECT_THAT(StartFleet(0), StatusIs(absl::StatusCode::kFailedPrecondition,
                                      HasSubstr("another `distill dev` or `distill demo`")));
}

TEST_F(DevTest, TheCommandRunsUntilInterrupted) {
  CommandRunner runner;
  runner.program_directory = programs_.path();
  std::thread user([&] {
    while (!FileExists(data_.Join("worker-1.addresses"))) std::this_thread::yield();
    runner.interrupt.Request();
  });
  const CommandResult result = runner.Run({"dev", "--workers", "1", "--data-dir", data_.path()});
  user.join();
  // Interrupted before or after it was ready: both are a clean stop.
  EXPECT_THAT(result.code, ::testing::AnyOf(0, 130)) << result.err;
  EXPECT_FALSE(IsAlive(Pids("server").at(0)));
  EXPECT_FALSE(IsAlive(Pids("worker-1").at(0)));
}

}  // namespace
}  // namespace distill::client
