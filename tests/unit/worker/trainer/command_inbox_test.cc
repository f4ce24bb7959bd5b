#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/support/status_matchers.h"
#include "worker/pipe/message_pipe.h"
#include "worker/trainer/pipe_session.h"

namespace distill::worker {
namespace {

class CommandInboxTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(pipe(descriptors_), 0); }
  void TearDown() override {
    EndPipe();
    close(descriptors_[0]);
  }
  void EndPipe() {
    if (descriptors_[1] >= 0) close(descriptors_[1]);
    descriptors_[1] = -1;
  }
  void Send(const v1::TrainerCommand& command) {
    MessageWriter writer(descriptors_[1]);
    ASSERT_THAT(writer.Write(command), IsOk());
  }
  static v1::TrainerCommand Start(const std::string& member) {
    v1::TrainerCommand command;
    command.mutable_start()->add_members()->set_member(member);
    return command;
  }

  int descriptors_[2] = {-1, -1};
};

TEST_F(CommandInboxTest, StopOfAnEarlierSetDoesNotReachTheNextOne) {
  Send(Start("a"));
  CommandInbox inbox(descriptors_[0], [] { FAIL() << "pipe is not lost"; });
  ASSERT_TRUE(inbox.NextLeaseSet().value().has_value());
  inbox.LeaseSetEnded();
  v1::TrainerCommand late;
  late.mutable_cancel()->set_member("b");
  Send(late);
  late.mutable_checkpoint_and_stop();
  Send(late);
  Send(Start("b"));
  ASSERT_TRUE(inbox.NextLeaseSet().value().has_value());
  EXPECT_FALSE(inbox.IsCancelled("b"));
  EXPECT_FALSE(inbox.IsStopRequested());
  inbox.LeaseSetEnded();
  EndPipe();
  EXPECT_FALSE(inbox.NextLeaseSet().value().has_value());
}

TEST_F(CommandInboxTest, NonsenseIsDataLoss) {
  CommandInbox inbox(descriptors_[0], [] { FAIL() << "nothing runs"; });
  ASSERT_EQ(write(descriptors_[1], "\xff\xff\xff\xff", 4), 4);
  EXPECT_THAT(inbox.NextLeaseSet(), StatusIs(absl::StatusCode::kDataLoss, testing::_));
}

}  // namespace
}  // namespace distill::worker
