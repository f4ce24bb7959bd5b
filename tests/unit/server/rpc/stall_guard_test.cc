#include "server/rpc/stall_guard.h"

#include <atomic>
#include <memory>
#include <optional>

#include "gtest/gtest.h"
#include "tests/support/process.h"
#include "tests/support/simulated_clock.h"

namespace distill::server {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(20);

class StallGuardTest : public ::testing::Test {
 protected:
  // Whether the guard comes to call `count` times in all.
  bool Called(int count) {
    return Eventually([&] { return calls_ >= count; }, kPatience);
  }
  // Lets the guard look at everything at least once more: it then ends a stream made for that.
  void LetItLook() {
    std::atomic<bool> seen{false};
    StallGuard::Stream probe(guard_, [&seen] { seen = true; });
    probe.Wait();
    clock_.Advance(kLimit);
    EXPECT_TRUE(Eventually([&] { return seen.load(); }, kPatience));
  }

  static constexpr absl::Duration kLimit = absl::Milliseconds(40);
  SimulatedClock clock_;
  StallGuard guard_{clock_, kLimit};
  std::atomic<int> calls_{0};
};

TEST_F(StallGuardTest, EndsAStreamThatWaitsTooLongOnce) {
  StallGuard::Stream stream(guard_, [this] { ++calls_; });
  LetItLook();
  EXPECT_EQ(calls_, 0);  // It does not wait.
  stream.Wait();
  clock_.Advance(kLimit);
  EXPECT_TRUE(Called(1));
  LetItLook();
  EXPECT_EQ(calls_, 1);
}

TEST_F(StallGuardTest, LeavesThoseAloneThatGoOn) {
  StallGuard::Stream stream(guard_, [this] { ++calls_; });
  for (int i = 0; i < 5; ++i) {
    stream.Wait();
    clock_.Advance(kLimit / 2);
    stream.Go();
    LetItLook();
  }
  EXPECT_EQ(calls_, 0);
}

// As gRPC does: cancelling a call may end it at once, on the same thread.
TEST_F(StallGuardTest, AStreamMayEndWithinItsOwnCallback) {
  std::optional<StallGuard::Stream> stream;
  stream.emplace(guard_, [&] {
    stream.reset();
    ++calls_;
  });
  stream->Wait();
  clock_.Advance(kLimit);
  EXPECT_TRUE(Called(1));
  EXPECT_FALSE(stream.has_value());
}

TEST_F(StallGuardTest, IsSilentAfterTheEndOfAStream) {
  for (int i = 0; i < 50; ++i) {
    auto stream = std::make_unique<StallGuard::Stream>(guard_, [this] { ++calls_; });
    stream->Wait();
    stream.reset();
    clock_.Advance(kLimit);
  }
  LetItLook();
  EXPECT_EQ(calls_, 0);
}

}  // namespace
}  // namespace distill::server
