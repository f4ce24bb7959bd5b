#include "client/backoff.h"

#include "gmock/gmock.h"

namespace distill::client {
namespace {

TEST(BackoffTest, DoublesUpToTheBoundWithJitterBelow) {
  Backoff backoff(absl::Milliseconds(100), absl::Seconds(1), /*seed=*/7);
  absl::Duration bound = absl::Milliseconds(100);
  for (int i = 0; i < 10; ++i) {
    const absl::Duration delay = backoff.Next();
    EXPECT_GE(delay, bound / 2);
    EXPECT_LE(delay, bound);
    bound = std::min(bound * 2, absl::Seconds(1));
  }
}

TEST(BackoffTest, StartsOverAfterAReset) {
  Backoff backoff(absl::Milliseconds(100), absl::Seconds(1), /*seed=*/7);
  for (int i = 0; i < 5; ++i) backoff.Next();
  backoff.Reset();
  EXPECT_LE(backoff.Next(), absl::Milliseconds(100));
}

// A crowd that returns in step is the load peak that back-off exists to prevent.
TEST(BackoffTest, SpreadsClientsOut) {
  Backoff one(absl::Seconds(1), absl::Seconds(1), /*seed=*/1);
  Backoff other(absl::Seconds(1), absl::Seconds(1), /*seed=*/2);
  EXPECT_NE(one.Next(), other.Next());
}

}  // namespace
}  // namespace distill::client
