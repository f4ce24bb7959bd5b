// What the server keeps of running attempts is bounded, and asked for again where it is missing.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/rpc/live_logs.h"
#include "server/rpc/live_series.h"

namespace distill::server {
namespace {

const LeaseId kLease("lease-a");

TEST(LiveLogsTest, NothingIsWantedWhileNobodyFollows) {
  LiveLogs logs;
  EXPECT_EQ(logs.WantedOffset(kLease), std::nullopt);
  EXPECT_EQ(logs.Receive(kLease, 0, "abc"), std::nullopt);
  auto follower = logs.Follow(kLease, 0, [] {});
  EXPECT_EQ(logs.WantedOffset(kLease), 0);
  EXPECT_EQ(logs.WantedOffset(LeaseId("other")), std::nullopt);
  follower.reset();
  EXPECT_EQ(logs.WantedOffset(kLease), std::nullopt);
}

TEST(LiveLogsTest, FollowersAtDifferentOffsetsAllGetWhatTheyLack) {
  LiveLogs logs;
  int wakes = 0;
  const auto early = logs.Follow(kLease, 0, [&] { ++wakes; });
  const auto late = logs.Follow(kLease, 4, [&] { ++wakes; });
  EXPECT_EQ(logs.WantedOffset(kLease), 0);
  EXPECT_EQ(logs.Receive(kLease, 0, "abcdef"), 6);
  EXPECT_EQ(wakes, 2);
  EXPECT_EQ(early->Take().bytes, "abcdef");
  const LogQueue::Piece piece = late->Take();
  EXPECT_EQ(piece.bytes, "ef");
  EXPECT_EQ(piece.offset, 4);
  EXPECT_EQ(late->Take().bytes, "");
}

TEST(LiveLogsTest, ASlowFollowerHoldsTheOthersUpOnlyToItsBound) {
  LiveLogs logs;
  const auto follower = logs.Follow(kLease, 0, [] {});
  const std::string piece(LogQueue::kMostBytes, 'x');
  EXPECT_EQ(logs.Receive(kLease, 0, piece + "more"), static_cast<int64_t>(LogQueue::kMostBytes));
  EXPECT_EQ(follower->Take().bytes, piece);
  EXPECT_EQ(logs.Receive(kLease, static_cast<int64_t>(LogQueue::kMostBytes), "more"),
            static_cast<int64_t>(LogQueue::kMostBytes) + 4);
}

google::protobuf::RepeatedPtrField<v1::Series::Point> Points(int64_t first_step, int count) {
  google::protobuf::RepeatedPtrField<v1::Series::Point> points;
  for (int i = 0; i < count; ++i) points.Add()->set_step(first_step + i);
  return points;
}

TEST(LiveSeriesTest, RepeatsAreTakenOnceAndGapsAskedForAgain) {
  LiveSeries series;
  const MonotonicTime now = MonotonicTime();
  EXPECT_EQ(series.Take(kLease, 0, {}, now), 0);
  EXPECT_FALSE(series.Find(kLease).has_value());
  EXPECT_EQ(series.Take(kLease, 0, Points(0, 3), now), 3);
  EXPECT_EQ(series.Take(kLease, 1, Points(1, 4), now), 5);
  EXPECT_EQ(series.Take(kLease, 9, Points(9, 1), now), 5);
  ASSERT_TRUE(series.Find(kLease).has_value());
  EXPECT_EQ(series.Find(kLease)->points(4).step(), 4);
}

TEST(LiveSeriesTest, PointsAndAttemptsAreBounded) {
  LiveSeries series;
  const MonotonicTime start = MonotonicTime();
  for (int first = 0; first < 3000; first += 200) {
    series.Take(kLease, first, Points(first, 200), start);
  }
  EXPECT_EQ(series.Find(kLease)->points_size(), LiveSeries::kMostPoints);
  for (size_t i = 0; i < LiveSeries::kMostAttempts; ++i) {
    series.Take(LeaseId("l" + std::to_string(i)), 0, Points(0, 1),
                start + absl::Seconds(static_cast<int64_t>(i) + 1));
  }
  EXPECT_FALSE(series.Find(kLease).has_value());
  EXPECT_TRUE(series.Find(LeaseId("l0")).has_value());
}

}  // namespace
}  // namespace distill::server
