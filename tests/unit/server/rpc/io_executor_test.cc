// Bounded, and every accepted call runs exactly once.
#include "server/rpc/io_executor.h"

#include <atomic>
#include <future>

#include "base/metrics.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::testing::HasSubstr;

TEST(IoExecutorTest, RunsWhatWasAcceptedAndRefusesTheRest) {
  NullMetrics metrics;
  IoExecutor executor({"test", /*threads=*/1, /*max_queue=*/2}, metrics);
  std::promise<void> started;
  std::promise<void> release;
  std::atomic<int> ran{0};
  ASSERT_THAT(executor.Submit([&] {
    started.set_value();
    release.get_future().wait();
    ++ran;
  }),
              IsOk());
  started.get_future().wait();
  EXPECT_THAT(executor.Submit([&] { ++ran; }), IsOk());
  EXPECT_THAT(executor.Submit([&] { ++ran; }), IsOk());
  EXPECT_THAT(executor.Submit([&] { ++ran; }),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("pool=test queued=2")));
  release.set_value();
  executor.Stop();
  EXPECT_EQ(ran, 3);
  EXPECT_THAT(executor.Submit([&] { ++ran; }), StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace distill::server
