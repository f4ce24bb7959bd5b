// Starting and ending trainers, whatever they do.
#include "worker/agent/trainer_process.h"

#include <unistd.h>

#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "worker/agent/wake_descriptor.h"

namespace distill::worker {
namespace {

using ::testing::HasSubstr;

class TrainerProcessTest : public ::testing::Test {
 protected:
  // Starts a shell script in the place of a trainer.
  std::unique_ptr<TrainerProcess> Start(const std::string& script) {
    const std::string path = directory_.Join("trainer");
    EXPECT_THAT(WriteFileAtomically(path, "#!/bin/sh\n" + script), IsOk());
    EXPECT_EQ(chmod(path.c_str(), 0755), 0);
    TrainerProcess::Config config;
    config.binary = path;
    config.working_directory = directory_.path();
    config.environment = {"COLOUR=green"};
    return TrainerProcess::Start(config).value();
  }

  // Waits until it closes its pipe.
  void AwaitClose(TrainerProcess& trainer) {
    while (trainer.Wait(wake_.descriptor(), absl::Seconds(10)).ok()) {
    }
  }

  TempDir directory_;
  WakeDescriptor wake_;
};

TEST_F(TrainerProcessTest, TellsExitStatusAndOutput) {
  const auto trainer = Start("echo $COLOUR; echo problem >&2; exit 3\n");
  AwaitClose(*trainer);
  const TrainerExit exit = trainer->End(absl::Seconds(5));
  EXPECT_EQ(exit.description, "exit status 3");
  EXPECT_FALSE(exit.clean);
  EXPECT_FALSE(exit.out_of_memory);
  EXPECT_GT(exit.peak_memory_bytes, 0);
  EXPECT_EQ(trainer->log().Text(), "green\nproblem\n");
}

TEST_F(TrainerProcessTest, TellsSignalAndDoesNotTakeItForWantOfMemory) {
  const auto trainer = Start("kill -9 $$\n");
  AwaitClose(*trainer);
  const TrainerExit exit = trainer->End(absl::Seconds(5));
  EXPECT_THAT(exit.description, HasSubstr("killed by signal 9"));
  EXPECT_FALSE(exit.out_of_memory);
}

TEST_F(TrainerProcessTest, KillsTheWholeGroup) {
  const auto trainer = Start("sleep 1000 & echo $! ; sleep 1000\n");
  ASSERT_TRUE(Eventually(
      [&] {
        (void)trainer->Wait(wake_.descriptor(), absl::Milliseconds(10));
        return !trainer->log().Text().empty();
      },
      absl::Seconds(10)));
  const pid_t grandchild = std::stoi(trainer->log().Text());
  EXPECT_TRUE(IsAlive(grandchild));
  trainer->End(absl::ZeroDuration());
  EXPECT_FALSE(IsAlive(trainer->pid()));
  EXPECT_TRUE(Eventually([&] { return !IsAlive(grandchild); }, absl::Seconds(5)));
}

TEST_F(TrainerProcessTest, HasOnlyItsOwnDescriptorsAndEnvironment) {
  setenv("SECRET_TOKEN", "do not tell", 1);
  const auto trainer = Start("ls /proc/self/fd | tr '\\n' ' '; env | grep -c SECRET\n");
  AwaitClose(*trainer);
  trainer->End(absl::Seconds(5));
  // 0 to 4, and the one with which ls reads the folder.
  EXPECT_EQ(trainer->log().Text(), "0 1 2 3 4 5 0\n");
}

TEST_F(TrainerProcessTest, TornMessageIsAnError) {
  const auto trainer = Start("printf '\\002\\000\\000\\000\\012\\177' >&4; sleep 1000\n");
  absl::Status status;
  ASSERT_TRUE(Eventually(
      [&] {
        status = trainer->Wait(wake_.descriptor(), absl::Milliseconds(10)).status();
        return !status.ok();
      },
      absl::Seconds(10)));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kDataLoss, HasSubstr("parse")));
}

TEST_F(TrainerProcessTest, MissingBinaryIsNotFound) {
  TrainerProcess::Config config;
  config.binary = directory_.Join("nothing-here");
  EXPECT_THAT(TrainerProcess::Start(config).status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nothing-here")));
}

}  // namespace
}  // namespace distill::worker
