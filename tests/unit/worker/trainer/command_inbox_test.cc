#include <gmock/gmock.h>
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

TEST_F(CommandInboxTest, PeersOfAGangAreThoseOfItsMember) {
  Send(Start("a"));
  CommandInbox inbox(descriptors_[0], [] { FAIL() << "pipe is not lost"; });
  ASSERT_TRUE(inbox.NextLeaseSet().value().has_value());
  v1::TrainerCommand peers;
  peers.mutable_gang_peers()->set_member("a");
  peers.mutable_gang_peers()->add_contents("of rank 0");
  peers.mutable_gang_peers()->add_contents("of rank 1");
  Send(peers);
  EXPECT_THAT(inbox.AwaitGangPeers("a", {}),
              IsOkAndHolds(testing::ElementsAre("of rank 0", "of rank 1")));
  inbox.LeaseSetEnded();

  // Those of an earlier set are no peers of the next, and a stop ends the wait for them.
  Send(Start("a"));
  ASSERT_TRUE(inbox.NextLeaseSet().value().has_value());
  v1::TrainerCommand stop;
  stop.mutable_checkpoint_and_stop();
  Send(stop);
  EXPECT_THAT(inbox.AwaitGangPeers("a", {}), StatusIs(absl::StatusCode::kCancelled));
  inbox.LeaseSetEnded();
  EndPipe();
}

}  // namespace
}  // namespace distill::worker
