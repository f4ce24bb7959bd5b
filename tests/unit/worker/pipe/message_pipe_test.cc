// What the two ends of a trainer's pipe rely on when the other end is slow, dies or lies.
#include "worker/pipe/message_pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "distill/v1/trainer.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace distill::worker {
namespace {

using ::testing::HasSubstr;

class MessagePipeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    signal(SIGPIPE, SIG_IGN);
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    read_end_ = ends[0];
    write_end_ = ends[1];
  }
  void TearDown() override {
    CloseReader();
    CloseWriter();
  }
  void CloseReader() {
    if (read_end_ >= 0) close(read_end_);
    read_end_ = -1;
  }
  void CloseWriter() {
    if (write_end_ >= 0) close(write_end_);
    write_end_ = -1;
  }
  static v1::TrainerEvent Event(const std::string& member) {
    v1::TrainerEvent event;
    event.mutable_ended()->set_member(member);
    return event;
  }

  int read_end_ = -1;
  int write_end_ = -1;
};

TEST_F(MessagePipeTest, DeliversMessagesInOrder) {
  MessageWriter writer(write_end_);
  ASSERT_THAT(writer.Write(Event("a")), IsOk());
  ASSERT_THAT(writer.Write(v1::TrainerEvent()), IsOk());  // An empty message is a message.
  ASSERT_THAT(writer.Write(Event("b")), IsOk());
  MessageReader reader(read_end_);
  EXPECT_EQ(reader.Read<v1::TrainerEvent>().value()->ended().member(), "a");
  EXPECT_EQ(reader.Read<v1::TrainerEvent>().value()->event_case(), v1::TrainerEvent::EVENT_NOT_SET);
  EXPECT_EQ(reader.Read<v1::TrainerEvent>().value()->ended().member(), "b");
}

// A message may be far larger than the pipe's buffer.
TEST_F(MessagePipeTest, DeliversMessageLargerThanThePipe) {
  const std::string large(3 << 20, 'x');
  std::thread sender([&] { EXPECT_THAT(MessageWriter(write_end_).Write(Event(large)), IsOk()); });
  MessageReader reader(read_end_);
  const auto event = reader.Read<v1::TrainerEvent>();
  sender.join();
  ASSERT_THAT(event.status(), IsOk());
  EXPECT_EQ((*event)->ended().member(), large);
}

TEST_F(MessagePipeTest, KeepsHalfAMessageOverATimeout) {
  const std::string frame = EncodeFrame(Event("late")).value();
  MessageReader reader(read_end_);
  ASSERT_EQ(write(write_end_, frame.data(), 5), 5);
  EXPECT_FALSE(reader.Read<v1::TrainerEvent>(absl::Milliseconds(1)).value().has_value());
  const ssize_t rest = static_cast<ssize_t>(frame.size()) - 5;
  ASSERT_EQ(write(write_end_, frame.data() + 5, frame.size() - 5), rest);
  EXPECT_EQ(reader.Read<v1::TrainerEvent>().value()->ended().member(), "late");
}

// The daemon takes a clean end for an exit and a torn one for a crash.
TEST_F(MessagePipeTest, TellsCleanEndFromTornEnd) {
  ASSERT_THAT(MessageWriter(write_end_).Write(Event("last")), IsOk());
  const std::string frame = EncodeFrame(Event("torn")).value();
  MessageReader reader(read_end_);
  ASSERT_THAT(reader.Read<v1::TrainerEvent>().status(), IsOk());
  {
    int other[2];
    ASSERT_EQ(pipe2(other, O_CLOEXEC), 0);
    ASSERT_EQ(write(other[1], frame.data(), 6), 6);
    close(other[1]);
    MessageReader torn(other[0]);
    EXPECT_THAT(torn.Read<v1::TrainerEvent>().status(),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("inside a message")));
    close(other[0]);
  }
  CloseWriter();
  EXPECT_THAT(reader.Read<v1::TrainerEvent>().status(),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("end of pipe")));
}

TEST_F(MessagePipeTest, RefusesLengthOverTheCap) {
  const unsigned char huge[4] = {0xFF, 0xFF, 0xFF, 0x7F};
  ASSERT_EQ(write(write_end_, huge, 4), 4);
  EXPECT_THAT(MessageReader(read_end_).Read<v1::TrainerEvent>().status(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("too large")));
  EXPECT_THAT(EncodeFrame(Event(std::string(kMaxPipeMessageBytes + 1, 'x'))).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("too large")));
}

TEST_F(MessagePipeTest, RefusesBytesThatDoNotParse) {
  const char nonsense[] = {2, 0, 0, 0, '\x0A', '\x7F'};  // A field longer than the message.
  ASSERT_EQ(write(write_end_, nonsense, 6), 6);
  EXPECT_THAT(MessageReader(read_end_).Read<v1::TrainerEvent>().status(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("does not parse")));
}

TEST_F(MessagePipeTest, WriteFailsWhenThePeerIsGone) {
  CloseReader();
  EXPECT_THAT(MessageWriter(write_end_).Write(Event("x")),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("closed")));
}

// A wedged trainer must not block its daemon.
TEST_F(MessagePipeTest, WriteGivesUpWhenThePeerDoesNotRead) {
  EXPECT_THAT(
      MessageWriter(write_end_).Write(Event(std::string(1 << 20, 'x')), absl::Milliseconds(5)),
      StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("does not read")));
}

}  // namespace
}  // namespace distill::worker
