// distill-worker as a process: what survives SIGKILL, and how it ends on SIGTERM.
#include <csignal>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/worker/agent/fake_trainer.h"
#include "tests/unit/worker/agent/scripted_server.h"

namespace distill::worker {
namespace {

using State = ScriptedServer::State;

class DaemonTest : public ::testing::Test {
 protected:
  std::unique_ptr<Process> StartDaemon(const std::vector<std::string>& more = {},
                                       const std::string& slots = "1") {
    std::vector<std::string> command = {WORKER_PATH,
                                        "--server",
                                        server_.address(),
                                        "--data-dir",
                                        directory_.Join("data"),
                                        "--trainer",
                                        FAKE_TRAINER_PATH,
                                        "--slots",
                                        slots,
                                        "--addresses-file",
                                        directory_.Join("addresses")};
    command.insert(command.end(), more.begin(), more.end());
    return std::make_unique<Process>(command, directory_.Join("log"));
  }

  void Offer(FakeBehaviour behaviour) {
    server_.With([&](State& state) {
      v1::Grant& grant = *state.offered.emplace_back().add_grants();
      grant.mutable_lease()->set_job("job-1");
      grant.mutable_lease()->set_task("finetune");
      grant.mutable_lease()->set_lease_id("lease-1");
      grant.mutable_spec()->set_seed(behaviour);
      grant.mutable_spec()->add_outputs("model");
    });
  }

  bool AwaitStep(int64_t step) {
    return server_.Await([&](const State& state) {
      return state.last_heartbeat.leases_size() == 1 &&
             state.last_heartbeat.leases(0).progress().step() >= step;
    });
  }

  bool HasOutboxEntry() const { return FileExists(directory_.Join("data/outbox/lease-1")); }

  TempDir directory_;
  ScriptedServer server_;
};

TEST_F(DaemonTest, DeliversResultOfAnEarlierRun) {
  server_.With([](State& state) { state.complete_call_code = 14; });  // UNAVAILABLE
  Offer(kFakeSucceed);
  auto daemon = StartDaemon();
  ASSERT_TRUE(Eventually([this] { return HasOutboxEntry(); }, absl::Seconds(20)));
  daemon->Kill();
  daemon = StartDaemon();
  // The lease is named when the worker introduces itself again. Only then may it be delivered:
  // delivery does not wait for the introduction, and a delivered lease is not named.
  ASSERT_TRUE(
      server_.Await([](const State& state) { return state.last_registration.leases_size() == 1; }));
  server_.With([](State& state) { state.complete_call_code = 0; });
  ASSERT_TRUE(server_.Await([](const State& state) { return state.completed.size() == 1; }));
  server_.With([](State& state) {
    EXPECT_EQ(state.completed[0].lease().lease_id(), "lease-1");
    EXPECT_EQ(state.blobs[state.completed[0].results(0).digest()], "module 0 output model");
    EXPECT_EQ(state.last_registration.leases(0).lease_id(), "lease-1");
  });
  EXPECT_TRUE(Eventually([this] { return !HasOutboxEntry(); }, absl::Seconds(10)));
}

TEST_F(DaemonTest, TrainersDieWithTheirDaemon) {
  Offer(kFakeHang);
  const auto daemon = StartDaemon();
  ASSERT_TRUE(AwaitStep(2));
  const std::vector<pid_t> trainers = ChildrenOf(daemon->pid());
  ASSERT_EQ(trainers.size(), 1U);
  daemon->Kill();
  EXPECT_TRUE(Eventually([&] { return !IsAlive(trainers[0]); }, absl::Seconds(10)));
}

TEST_F(DaemonTest, HandsWorkBackOnSigterm) {
  Offer(kFakeCheckpoints);
  const auto daemon = StartDaemon();
  ASSERT_TRUE(AwaitStep(4));
  daemon->Signal(SIGTERM);
  EXPECT_EQ(daemon->Wait(absl::Seconds(20)), 0);
  server_.With([](State& state) {
    ASSERT_EQ(state.released.size(), 1U);
    EXPECT_EQ(state.released[0].reason(), "asked to hand it back");
    EXPECT_GE(state.released[0].checkpoint_step(), 4);
  });
}

TEST_F(DaemonTest, GivesUpHandingBackInTime) {
  Offer(kFakeIgnoreCancel);
  const auto daemon = StartDaemon({"--drain-seconds", "0.3"});
  ASSERT_TRUE(AwaitStep(2));
  const std::vector<pid_t> trainers = ChildrenOf(daemon->pid());
  daemon->Signal(SIGTERM);
  EXPECT_EQ(daemon->Wait(absl::Seconds(20)), 0);
  ASSERT_EQ(trainers.size(), 1U);
  EXPECT_FALSE(IsAlive(trainers[0]));
}

TEST_F(DaemonTest, SecondSignalEndsAtOnce) {
  Offer(kFakeIgnoreCancel);
  const auto daemon = StartDaemon({"--drain-seconds", "1000"});
  ASSERT_TRUE(AwaitStep(2));
  daemon->Signal(SIGTERM);
  // It has begun to hand back when it asks for no more work and still beats.
  ASSERT_TRUE(Eventually(
      [this] {
        return absl::StrContains(ReadFile(directory_.Join("log")).value_or(""),
                                 "handing work back");
      },
      absl::Seconds(10)));
  daemon->Signal(SIGTERM);
  EXPECT_EQ(daemon->Wait(absl::Seconds(20)), 0);
}

TEST_F(DaemonTest, TellsItsAddressAndRefusesBadFlags) {
  const auto daemon = StartDaemon();
  ASSERT_TRUE(
      Eventually([this] { return FileExists(directory_.Join("addresses")); }, absl::Seconds(10)));
  EXPECT_THAT(ReadFile(directory_.Join("addresses")),
              IsOkAndHolds(testing::StartsWith("http=127.0.0.1:")));
  Process no_server({WORKER_PATH, "--data-dir", directory_.Join("other")}, directory_.Join("log2"));
  EXPECT_EQ(no_server.Wait(absl::Seconds(10)), 2);
  Process no_trainer({WORKER_PATH, "--server", "127.0.0.1:1", "--data-dir",
                      directory_.Join("other"), "--trainer", "/nowhere"},
                     directory_.Join("log3"));
  EXPECT_EQ(no_trainer.Wait(absl::Seconds(10)), 2);
  EXPECT_THAT(ReadFile(directory_.Join("log3")),
              IsOkAndHolds(testing::HasSubstr("trainer cannot be run")));
}

// 60 MB is the bound for an idle worker; most of what it counts is shared code.
TEST_F(DaemonTest, IdleWorkerIsSmall) {
  const auto daemon = StartDaemon({}, /*slots=*/"8");
  ASSERT_TRUE(server_.Await([](const State& state) { return state.heartbeats > 20; }));
  const std::string status =
      ReadFile(absl::StrCat("/proc/", daemon->pid(), "/status")).value_or("");
  const size_t at = status.find("VmRSS:");
  ASSERT_NE(at, std::string::npos);
  const int64_t kilobytes = std::stoll(status.substr(at + 6));
  RecordProperty("rss_kilobytes", std::to_string(kilobytes));
  EXPECT_LT(kilobytes, 60 * 1024);
}

}  // namespace
}  // namespace distill::worker
