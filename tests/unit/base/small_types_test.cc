// The parts of base/ that take a line or two each.
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "absl/strings/cord.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "base/random_ids.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "tests/support/scripted_id_source.h"
#include "tests/support/simulated_clock.h"
#include "tests/support/status_matchers.h"

namespace distill {
namespace {

using ::testing::MatchesRegex;

TEST(IdTextTest, AcceptsOnlyOneHarmlessPathComponent) {
  for (const char* text : {"a", "job-7f3a9c01", "A.b_c-9", "..."}) {
    EXPECT_TRUE(IsValidIdText(text)) << text;
  }
  EXPECT_TRUE(IsValidIdText(std::string(128, 'a')));
  for (const char* text : {"", ".", "..", "a/b", "a b", "a\n", "\xc3\xa4", "a:b", "~", "a%2f"}) {
    EXPECT_FALSE(IsValidIdText(text)) << text;
  }
  EXPECT_FALSE(IsValidIdText(std::string(129, 'a')));
  EXPECT_FALSE(IsValidIdText(absl::string_view("a\0b", 3)));
}

TEST(StrongIdTest, KindsDoNotMix) {
  EXPECT_EQ(JobId("a"), JobId(std::string("a")));
  EXPECT_LT(JobId("a"), JobId("b"));
  EXPECT_TRUE(JobId().empty());
  EXPECT_FALSE((std::is_convertible_v<JobId, TaskId>));
}

TEST(AnnotateTest, PutsContextInFrontAndKeepsCodeAndPayloads) {
  absl::Status status = absl::UnavailableError("disk is gone");
  status.SetPayload("type", absl::Cord("payload"));
  const absl::Status annotated = Annotate(status, "cannot publish");
  EXPECT_THAT(annotated, StatusIs(absl::StatusCode::kUnavailable, "cannot publish: disk is gone"));
  EXPECT_EQ(annotated.GetPayload("type"), absl::Cord("payload"));
  EXPECT_THAT(Annotate(absl::OkStatus(), "x"), IsOk());
}

absl::StatusOr<int> AddOne(absl::StatusOr<int> number) {
  DISTILL_ASSIGN_OR_RETURN(const int value, std::move(number));
  DISTILL_RETURN_IF_ERROR(absl::OkStatus());
  return value + 1;
}

TEST(StatusMacrosTest, PassErrorsOnAndUnwrapValues) {
  EXPECT_THAT(AddOne(1), IsOkAndHolds(2));
  EXPECT_THAT(AddOne(absl::AbortedError("x")), StatusIs(absl::StatusCode::kAborted, "x"));
}

TEST(SystemIdSourceTest, DrawsDifferentHexOfTheAskedLength) {
  SystemIdSource source;
  const std::string id = source.RandomHex(16);
  EXPECT_THAT(id, MatchesRegex("[0-9a-f]{32}"));
  EXPECT_NE(id, source.RandomHex(16));
  EXPECT_EQ(source.RandomHex(1).size(), 2U);
  EXPECT_EQ(source.RandomHex(32).size(), 64U);
}

TEST(ScriptedIdSourceTest, FollowsTheScriptThenCounts) {
  ScriptedIdSource source({"lease-a"});
  EXPECT_EQ(source.RandomHex(16), "lease-a");
  EXPECT_EQ(source.RandomHex(2), "0001");
  EXPECT_EQ(source.RandomHex(2), "0002");
}

TEST(ClockTest, SystemClockMovesForward) {
  const SystemClock clock;
  const MonotonicTime first = clock.Now();
  EXPECT_LE(first, clock.Now());
  EXPECT_LT(first, InfiniteFuture());
  EXPECT_GT(clock.WallNow(), absl::FromUnixSeconds(1'700'000'000));
}

TEST(ClockTest, SimulatedClockMovesOnlyWhenTold) {
  SimulatedClock clock;
  const MonotonicTime start = clock.Now();
  const absl::Time wall_start = clock.WallNow();
  EXPECT_EQ(clock.Now(), start);
  clock.Advance(absl::Seconds(5));
  EXPECT_EQ(clock.Now() - start, absl::Seconds(5));
  clock.JumpWallClock(-absl::Hours(1));
  EXPECT_EQ(clock.Now() - start, absl::Seconds(5));
  EXPECT_EQ(clock.WallNow() - wall_start, absl::Seconds(5) - absl::Hours(1));
}

TEST(NullMetricsTest, TakesEverything) {
  NullMetrics metrics;
  metrics.AddCounter("a", "h", {}).Increment();
  metrics.AddGauge("b", "h", {}).Set(1.0);
  metrics.AddGauge("b", "h", {}).Add(-1.0);
  metrics.AddHistogram("c", "h", LatencyBounds(), {}).Observe(2.0);
  metrics.Remove("a", {});
}

TEST(CondVarTest, HandsAValueOver) {
  Mutex mutex;
  CondVar changed;
  int value = 0;
  std::thread setter([&] {
    const MutexLock lock(mutex);
    value = 7;
    changed.NotifyAll();
  });
  {
    const MutexLock lock(mutex);
    while (value == 0) changed.WaitFor(mutex, absl::InfiniteDuration());
    EXPECT_EQ(value, 7);
    EXPECT_FALSE(changed.WaitFor(mutex, absl::Milliseconds(1)));
  }
  setter.join();
}

}  // namespace
}  // namespace distill
