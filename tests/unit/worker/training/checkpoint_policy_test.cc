#include "worker/training/checkpoint_policy.h"

#include <gtest/gtest.h>

namespace distill::training {
namespace {

constexpr MonotonicTime kStart{absl::Seconds(100)};

TEST(CheckpointPolicyTest, FirstOneComesAfterTheShortestInterval) {
  const CheckpointPolicy policy(absl::ZeroDuration(), kStart);
  EXPECT_FALSE(policy.IsDue(kStart + absl::Seconds(29)));
  EXPECT_TRUE(policy.IsDue(kStart + absl::Seconds(30)));
}

TEST(CheckpointPolicyTest, WritingCostsAtMostTwoPercent) {
  CheckpointPolicy policy(absl::ZeroDuration(), kStart);
  policy.ObserveCost(absl::Seconds(3));
  EXPECT_EQ(policy.interval(), absl::Seconds(150));
  policy.ObserveCost(absl::Milliseconds(1));
  EXPECT_EQ(policy.interval(), absl::Seconds(30));
  policy.ObserveCost(absl::Minutes(5));
  EXPECT_EQ(policy.interval(), absl::Minutes(15));
}

TEST(CheckpointPolicyTest, TheTasksIntervalWins) {
  CheckpointPolicy policy(absl::Seconds(2), kStart);
  policy.ObserveCost(absl::Seconds(3));
  policy.Begin(kStart + absl::Seconds(7));
  EXPECT_FALSE(policy.IsDue(kStart + absl::Seconds(8)));
  EXPECT_TRUE(policy.IsDue(kStart + absl::Seconds(9)));
}

}  // namespace
}  // namespace distill::training
