#include "server/scheduler/placement.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/scheduler/ready_queue.h"
#include "tests/support/scheduler/job_builder.h"

namespace distill::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::Duration kPatience = absl::Seconds(5);

Candidate Of(int64_t job_age, int32_t index) {
  Candidate candidate;
  candidate.job_age = job_age;
  candidate.index = index;
  return candidate;
}

TEST(PlacementTest, OlderJobThenPlanOrder) {
  EXPECT_EQ(ChooseCandidate({Of(2, 0), Of(1, 5), Of(1, 3)}, kPatience), 2u);
}

TEST(PlacementTest, CachedInputsComeBeforePlanOrderWithinAJob) {
  Candidate cached = Of(1, 9);
  cached.cached_inputs = 2;
  Candidate younger = Of(2, 0);
  younger.cached_inputs = 7;
  EXPECT_EQ(ChooseCandidate({Of(1, 3), cached, younger}, kPatience), 1u);
}

// A warm trainer saves a second; it must not starve who came first.
TEST(PlacementTest, AWarmTrainerMayOvertakeOnlyThePatient) {
  Candidate warm = Of(2, 0);
  warm.warm = true;
  Candidate older = Of(1, 0);
  older.waited = kPatience - absl::Seconds(1);
  EXPECT_EQ(ChooseCandidate({older, warm}, kPatience), 1u);
  older.waited = kPatience;
  EXPECT_EQ(ChooseCandidate({older, warm}, kPatience), 0u);
}

TEST(PlacementTest, DriversAreComparedNumberByNumber) {
  EXPECT_TRUE(IsAtLeast("535.104.05", "535.104"));
  EXPECT_TRUE(IsAtLeast("535.104", "535.104.0"));
  EXPECT_TRUE(IsAtLeast("1000.1", "535"));
  EXPECT_FALSE(IsAtLeast("535.54.03", "535.104"));
  EXPECT_FALSE(IsAtLeast("", "0"));
  EXPECT_TRUE(IsAtLeast("535.104-beta", "535"));
}

TEST(PlacementTest, SaysWhyAWorkerIsUnfit) {
  WorkerInfo worker = MakeWorker("w1");
  worker.slot_memory_bytes = 1 << 30;
  EXPECT_TRUE(Fits(Requirement{}, worker));
  EXPECT_TRUE(Fits(Requirement{"any", "", 0, {}}, worker));
  const auto why = [&](const Requirement& requirement) {
    return WhyUnfit(requirement, worker).detail;
  };
  EXPECT_THAT(why({"", "cuda", 0, {}}), HasSubstr("device kind cuda"));
  EXPECT_THAT(why({"cuda-sm90", "", 0, {}}), HasSubstr("cuda-sm90"));
  EXPECT_THAT(why({"", "", int64_t{2} << 30, {}}), HasSubstr("2048 MiB"));
  EXPECT_THAT(why({"", "", 0, {}, "535.104"}), HasSubstr("no driver 535.104 or newer (has none)"));
  worker.driver_version = "535.54.03";
  EXPECT_EQ(WhyUnfit({"", "", 0, {}, "535.104"}, worker).failed, Predicate::kDriver);
  EXPECT_TRUE(Fits({"", "", 0, {}, "535.54"}, worker));
  worker.labels = {{"zone", "a"}};
  EXPECT_THAT(why({"", "", 0, {"zone=b"}}), HasSubstr("has no label zone=b"));
  EXPECT_EQ(WhyUnfit({"", "", 0, {"zone=a"}}, worker).failed, Predicate::kNone);
}

TEST(PlacementTest, WaitingRaisesThePriorityUpToTheHighest) {
  EXPECT_EQ(EffectivePriority(3, absl::Minutes(9), absl::Minutes(10)), 3);
  EXPECT_EQ(EffectivePriority(3, absl::Minutes(10), absl::Minutes(10)), 4);
  EXPECT_EQ(EffectivePriority(3, absl::Hours(1000), absl::Minutes(10)), 9);
  EXPECT_EQ(EffectivePriority(9, absl::Hours(1), absl::Minutes(10)), 9);
  EXPECT_EQ(EffectivePriority(3, absl::InfiniteDuration(), absl::Minutes(10)), 9);
}

TEST(PlacementTest, LanesGoByPriorityThenShareAndTiesGoTogether) {
  EXPECT_THAT(ChooseLanes({}), IsEmpty());
  EXPECT_THAT(ChooseLanes({{5, 1.0}, {6, 9.0}, {5, 0.0}}), ElementsAre(1));
  EXPECT_THAT(ChooseLanes({{5, 1.0}, {5, 0.5}, {4, 0.0}, {5, 0.5}}), ElementsAre(1, 3));
}

TEST(PlacementTest, BundlesShareTasksEvenlyWithinMemory) {
  EXPECT_EQ(BundleSize({10, 4, 16, 0, 0}), 3);
  EXPECT_EQ(BundleSize({10, 1, 4, 0, 0}), 4);
  EXPECT_EQ(BundleSize({10, 20, 16, 0, 0}), 1);
  EXPECT_EQ(BundleSize({10, 1, 16, 3 << 20, 8 << 20}), 2);
  EXPECT_EQ(BundleSize({10, 1, 16, 9 << 20, 8 << 20}), 1);
  EXPECT_EQ(BundleSize({1, 0, 16, 0, 0}), 1);
}

TEST(ReadyQueueTest, ListsTheOldestOfEachGroup) {
  ReadyQueue queue;
  for (int32_t i = 0; i < 5; ++i) queue.Add({7, i}, {0, 0, i < 3 ? 1 : ReadyQueue::kAlone});
  queue.Add({3, 0}, {0, 0, ReadyQueue::kAlone});
  queue.Add({1, 0}, {2, 0, ReadyQueue::kAlone});
  EXPECT_EQ(queue.size(), 7u);
  EXPECT_EQ(queue.CountInGroup(7, {0, 0, 1}), 3u);
  EXPECT_THAT(queue.Requirements(), ElementsAre(0, 2));
  std::vector<ReadyQueue::Entry> oldest;
  queue.AppendOldest(0, 0, 1, 16, oldest);
  ASSERT_EQ(oldest.size(), 1u);
  EXPECT_EQ(oldest[0].rank, (TaskRank{3, 0}));
  queue.Remove({3, 0}, {0, 0, ReadyQueue::kAlone});
  oldest.clear();
  queue.AppendOldest(0, 0, 4, 1, oldest);
  EXPECT_EQ(oldest.size(), 2u);  // One of each group.
}

}  // namespace
}  // namespace distill::server
