// The real distill-trainer over its real pipe, with the test in the worker's place.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/file.h"
#include "distill/v1/trainer.pb.h"
#include "tests/support/sanitizer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "worker/pipe/message_pipe.h"
#include "worker/pipe/trainer_contract.h"

namespace distill::worker {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(60);

// A trainer process and the worker's ends of its pipes. Killed when the test ends.
class TrainerUnderTest {
 public:
  // `address_space_bytes` of 0 means no limit.
  explicit TrainerUnderTest(uint64_t address_space_bytes = 0) {
    int commands[2];
    int events[2];
    EXPECT_EQ(pipe2(commands, O_CLOEXEC), 0);
    EXPECT_EQ(pipe2(events, O_CLOEXEC), 0);
    const std::string binary = JoinPath(std::getenv("DISTILL_BIN_DIR"), "distill-trainer");
    pid_ = fork();
    if (pid_ == 0) {
      // Moved out of the way first: one of them may already be 3 or 4.
      const int in = fcntl(commands[0], F_DUPFD, 10);
      const int out = fcntl(events[1], F_DUPFD, 10);
      dup2(in, kTrainerCommandDescriptor);
      dup2(out, kTrainerEventDescriptor);
      close(in);
      close(out);
      setenv("OPENBLAS_CORETYPE", "Nehalem", 1);
      setenv("ATEN_CPU_CAPABILITY", "default", 1);
      if (address_space_bytes > 0) {
        const rlimit limit{address_space_bytes, address_space_bytes};
        setrlimit(RLIMIT_AS, &limit);
      }
      execl(binary.c_str(), binary.c_str(), nullptr);
      _exit(127);
    }
    close(commands[0]);
    close(events[1]);
    commands_ = commands[1];
    events_ = events[0];
    writer_ = std::make_unique<MessageWriter>(commands_);
    reader_ = std::make_unique<MessageReader>(events_);
  }

  ~TrainerUnderTest() {
    CloseCommands();
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    close(events_);
  }

  void Send(const v1::TrainerCommand& command) { EXPECT_THAT(writer_->Write(command), IsOk()); }

  v1::TrainerEvent Receive() {
    auto event = reader_->Read<v1::TrainerEvent>(kPatience);
    EXPECT_THAT(event, IsOk());
    EXPECT_TRUE(event.ok() && event->has_value()) << "trainer is silent";
    return event.ok() && event->has_value() ? **event : v1::TrainerEvent();
  }

  // Reads until an event of the kind comes.
  v1::TrainerEvent ReceiveKind(v1::TrainerEvent::EventCase kind) {
    while (true) {
      v1::TrainerEvent event = Receive();
      if (event.event_case() == kind || event.event_case() == v1::TrainerEvent::EVENT_NOT_SET) {
        return event;
      }
    }
  }

  void CloseCommands() {
    if (commands_ >= 0) close(commands_);
    commands_ = -1;
  }

  // Waits for the end and returns the exit code, -1 when a signal ended it.
  int ExitCode() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t pid_ = -1;
  int commands_ = -1;
  int events_ = -1;
  std::unique_ptr<MessageWriter> writer_;
  std::unique_ptr<MessageReader> reader_;
};

class TrainerProcessTest : public testing::Test {
 protected:
  void SetUp() override { signal(SIGPIPE, SIG_IGN); }

  v1::TrainerCommand Start(const std::string& member, int64_t total_images) {
    v1::TrainerCommand command;
    v1::MemberAssignment& assignment = *command.mutable_start()->add_members();
    assignment.set_member(member);
    assignment.set_output_directory(directory_.Join(member));
    EXPECT_THAT(CreateDirectories(assignment.output_directory()), IsOk());
    v1::TaskSpec& spec = *assignment.mutable_spec();
    spec.set_kind(v1::TASK_KIND_PRETRAIN_META);
    spec.set_modules(2);
    spec.set_patch_size(7);
    spec.set_seed(5);
    spec.set_numeric_class("cpu-x86-default");
    spec.add_outputs("model");
    v1::DatasetSpec& dataset = *spec.mutable_dataset();
    dataset.set_path("/usr/share/datasets/fashion-mnist");
    dataset.set_format(v1::DATASET_FORMAT_IDX);
    dataset.set_classes(10);
    dataset.set_image_size(28);
    dataset.set_channels(1);
    dataset.set_train_images(200);
    v1::VitSpec& meta = *spec.mutable_meta();
    meta.set_embed_dim(16);
    meta.set_heads(2);
    meta.set_mlp_ratio(2);
    meta.set_qkv_bias(true);
    meta.set_layer_norm_epsilon(1e-6);
    meta.add_stage_depths(1);
    meta.add_stage_depths(1);
    v1::TrainingRecipe& recipe = *spec.mutable_recipe();
    recipe.set_batch_size(20);
    recipe.set_accumulate_steps(1);
    recipe.set_learning_rate(1e-3);
    recipe.set_schedule_unit(v1::SCHEDULE_UNIT_STEP);
    recipe.set_beta1(0.9);
    recipe.set_beta2(0.999);
    recipe.set_epsilon(1e-8);
    recipe.set_total_images(total_images);
    return command;
  }

  TempDir directory_;
};

// Minutes, yet short enough for the curve to have points soon.
constexpr int64_t kEndless = 4'000'000;

TEST_F(TrainerProcessTest, SaysWhatItIsThenRunsWarm) {
  TrainerUnderTest trainer;
  const v1::Ready ready = trainer.Receive().ready();
  EXPECT_EQ(ready.numeric_class(), "cpu-x86-default");
  EXPECT_GT(ready.process_id(), 0);
  EXPECT_THAT(ready.libtorch_version(), testing::StartsWith("1."));
  std::vector<std::string> digests;
  for (const char* member : {"first", "second"}) {
    trainer.Send(Start(member, /*total_images=*/400));
    const v1::MemberEnded ended = trainer.ReceiveKind(v1::TrainerEvent::kEnded).ended();
    EXPECT_EQ(ended.outcome(), v1::MemberEnded::ENDED_SUCCEEDED) << ended.message();
    ASSERT_EQ(ended.results_size(), 1);
    digests.push_back(DigestOfFile(ended.results(0).path()).value().str());
    EXPECT_EQ(ended.stats().images_seen(), 400);
    EXPECT_GT(ended.stats().peak_memory_bytes(), 1 << 20);
    trainer.ReceiveKind(v1::TrainerEvent::kReady);
  }
  EXPECT_EQ(digests[0], digests[1]);
  v1::TrainerCommand shutdown;
  shutdown.mutable_shutdown();
  trainer.Send(shutdown);
  EXPECT_EQ(trainer.ExitCode(), kTrainerExitOk);
}

TEST_F(TrainerProcessTest, CancelEndsAMemberBetweenSteps) {
  TrainerUnderTest trainer;
  trainer.Send(Start("endless", kEndless));
  while (trainer.ReceiveKind(v1::TrainerEvent::kProgress).progress().progress().step() == 0) {
  }
  v1::TrainerCommand cancel;
  cancel.mutable_cancel()->set_member("endless");
  trainer.Send(cancel);
  EXPECT_EQ(trainer.ReceiveKind(v1::TrainerEvent::kEnded).ended().outcome(),
            v1::MemberEnded::ENDED_CANCELLED);
  trainer.ReceiveKind(v1::TrainerEvent::kReady);
  // What was cancelled before does not stay cancelled.
  trainer.Send(Start("endless", /*total_images=*/40));
  EXPECT_EQ(trainer.ReceiveKind(v1::TrainerEvent::kEnded).ended().outcome(),
            v1::MemberEnded::ENDED_SUCCEEDED);
}

TEST_F(TrainerProcessTest, StopWritesACheckpointFirst) {
  TrainerUnderTest trainer;
  trainer.Send(Start("endless", kEndless));
  // A long run has a point of its series every hundred steps or so.
  while (trainer.ReceiveKind(v1::TrainerEvent::kProgress).progress().points().empty()) {
  }
  v1::TrainerCommand stop;
  stop.mutable_checkpoint_and_stop();
  trainer.Send(stop);
  const v1::CheckpointWritten written =
      trainer.ReceiveKind(v1::TrainerEvent::kCheckpoint).checkpoint();
  EXPECT_GT(written.step(), 0);
  EXPECT_TRUE(FileExists(written.path()));
  const v1::MemberEnded ended = trainer.ReceiveKind(v1::TrainerEvent::kEnded).ended();
  EXPECT_EQ(ended.outcome(), v1::MemberEnded::ENDED_RELEASED);
  ASSERT_EQ(ended.observations_size(), 1);
  EXPECT_EQ(ended.observations(0).name(), "series");
}

// A worker that died must not leave a trainer behind.
TEST_F(TrainerProcessTest, EndsWithItsWorker) {
  TrainerUnderTest idle;
  idle.Receive();
  idle.CloseCommands();
  EXPECT_EQ(idle.ExitCode(), kTrainerExitOk);

  TrainerUnderTest busy;
  busy.Send(Start("endless", kEndless));
  busy.ReceiveKind(v1::TrainerEvent::kProgress);
  busy.CloseCommands();
  EXPECT_EQ(busy.ExitCode(), kTrainerExitPipe);
}

TEST_F(TrainerProcessTest, UserErrorIsReportedAndTheTrainerStays) {
  TrainerUnderTest trainer;
  v1::TrainerCommand start = Start("wrong", 400);
  start.mutable_start()->mutable_members(0)->mutable_spec()->set_patch_size(5);
  trainer.Send(start);
  const v1::MemberEnded ended = trainer.ReceiveKind(v1::TrainerEvent::kEnded).ended();
  EXPECT_EQ(ended.outcome(), v1::MemberEnded::ENDED_FAILED);
  EXPECT_EQ(ended.failure_class(), v1::FAILURE_CLASS_USER);
  EXPECT_THAT(ended.message(), testing::HasSubstr("patch_size"));
  trainer.ReceiveKind(v1::TrainerEvent::kReady);
}

TEST_F(TrainerProcessTest, MissingMemoryIsReportedAsSuch) {
  if (kHasSanitizer) GTEST_SKIP() << "the sanitizer needs the address space that is taken away";
  TrainerUnderTest trainer(/*address_space_bytes=*/uint64_t{1} << 30);
  v1::TrainerCommand start = Start("wide", 400);
  start.mutable_start()->mutable_members(0)->mutable_spec()->mutable_meta()->set_embed_dim(8192);
  trainer.Send(start);
  const v1::MemberEnded ended = trainer.ReceiveKind(v1::TrainerEvent::kEnded).ended();
  EXPECT_EQ(ended.outcome(), v1::MemberEnded::ENDED_FAILED);
  EXPECT_EQ(ended.failure_class(), v1::FAILURE_CLASS_RESOURCE);
  EXPECT_THAT(ended.message(), testing::HasSubstr("memory"));
}

}  // namespace
}  // namespace distill::worker
