// What becomes of workers that fail everything, and of tasks that must make room: quarantine and
// preemption with real processes.
#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fault/cluster.h"
#include "tests/fault/small_job.h"
#include "tests/support/status_matchers.h"

namespace distill {
namespace {

using ::testing::Ge;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr absl::Duration kPatience = absl::Seconds(30);
constexpr char kFirstTask[] = "pretrain-meta";

std::string Submit(Cluster& cluster, const v1::JobSpec& spec, const std::string& request_id) {
  const auto job = cluster.client().CreateJob(spec, request_id);
  EXPECT_THAT(job.status(), IsOk()) << cluster.Logs();
  return job.ok() ? job->id() : "";
}

v1::Task FirstTask(Cluster& cluster, const std::string& job) {
  const auto task = cluster.client().GetTask(job, kFirstTask);
  EXPECT_THAT(task.status(), IsOk()) << cluster.Logs();
  return task.value_or(v1::Task());
}

// A job of which the first task runs until it is told to stop, and keeps checkpoints.
v1::JobSpec EndlessJob(const std::string& dataset, int priority) {
  v1::JobSpec spec = SmallJob(dataset);
  spec.mutable_pretrain_meta()->set_epochs(5000);
  spec.mutable_execution()->set_priority(priority);
  return spec;
}

TEST(FleetTest, AWorkerThatFailsEverythingIsPutInQuarantineAndAnotherDoesTheWork) {
  Cluster cluster(0, {"--quarantine-after-failures=3"});
  cluster.AddWorker({"--trainer=/bin/false"});
  std::string job;
  for (uint64_t seed = 0; seed < 3; ++seed) {
    v1::JobSpec spec = SmallJob(cluster.dataset());
    spec.set_seed(seed);
    job = Submit(cluster, spec, absl::StrCat("r", seed));
  }
  v1::Worker bad;
  EXPECT_TRUE(Eventually(
      [&] {
        const auto workers = cluster.client().ListWorkers();
        if (!workers.ok() || workers->size() != 1) return false;
        bad = workers->front();
        return bad.state() == v1::WORKER_STATE_QUARANTINED;
      },
      kPatience))
      << cluster.Logs();
  EXPECT_EQ(bad.quarantine(), v1::QUARANTINE_AUTOMATIC);
  EXPECT_THAT(bad.quarantine_reason(), HasSubstr("infrastructure failures in a row over 3 tasks"));
  EXPECT_TRUE(Eventually(
      [&] {
        const auto explanation = cluster.client().ExplainTask(job, kFirstTask);
        return explanation.ok() && explanation->reason() == v1::WAIT_REASON_UNAVAILABLE;
      },
      kPatience));

  cluster.AddWorker({});
  EXPECT_TRUE(Eventually(
      [&] { return FirstTask(cluster, job).state() == v1::TASK_STATE_SUCCEEDED; }, kPatience))
      << cluster.Logs();
  const v1::Task done = FirstTask(cluster, job);
  ASSERT_THAT(done.attempts(), SizeIs(Ge(2)));
  EXPECT_NE(done.attempts(done.attempts_size() - 1).worker(), bad.info().worker_id());
  const auto cost = cluster.client().GetJobCost(job);
  ASSERT_THAT(cost, IsOk());
  ASSERT_THAT(cost->total().losses(), SizeIs(1));
  EXPECT_EQ(cost->total().losses(0).cause(), v1::LOSS_CAUSE_INFRASTRUCTURE);
  EXPECT_TRUE(cluster.EndInOrder()) << cluster.Logs();
}

TEST(FleetTest, ATaskOfHighPriorityTakesTheSlotOfALowOneWhichGoesOnFromItsCheckpoint) {
  Cluster cluster(1, {"--quarantine-after-failures=0", "--preempt-patience-seconds=0.2"});
  const std::string low = Submit(cluster, EndlessJob(cluster.dataset(), 1), "low");
  EXPECT_TRUE(Eventually([&] { return FirstTask(cluster, low).checkpoint_step() > 0; }, kPatience))
      << cluster.Logs();
  v1::JobSpec urgent = EndlessJob(cluster.dataset(), 9);
  urgent.set_seed(1);
  const std::string high = Submit(cluster, urgent, "high");
  EXPECT_TRUE(Eventually([&] { return FirstTask(cluster, high).state() == v1::TASK_STATE_RUNNING; },
                         kPatience))
      << cluster.Logs();
  const v1::Task waiting = FirstTask(cluster, low);
  EXPECT_EQ(waiting.state(), v1::TASK_STATE_QUEUED);
  ASSERT_THAT(waiting.attempts(), SizeIs(1));
  EXPECT_EQ(waiting.attempts(0).state(), "RELEASED");
  EXPECT_EQ(waiting.attempts(0).failure_class(), v1::FAILURE_CLASS_PREEMPTED);
  const int64_t kept = waiting.checkpoint_step();

  EXPECT_THAT(cluster.client().CancelJob(high), IsOk());
  EXPECT_TRUE(
      Eventually([&] { return FirstTask(cluster, low).progress().step() > kept; }, kPatience))
      << cluster.Logs();
  EXPECT_THAT(FirstTask(cluster, low).attempts(), SizeIs(2));
  const auto cost = cluster.client().GetJobCost(low);
  ASSERT_THAT(cost, IsOk());
  EXPECT_THAT(cost->total().spent_seconds(), Gt(cost->total().lost_seconds()));
  EXPECT_THAT(cost->total().running_seconds(), Gt(0.0));
  EXPECT_THAT(cluster.client().CancelJob(low), IsOk());
  EXPECT_TRUE(cluster.EndInOrder()) << cluster.Logs();
}

}  // namespace
}  // namespace distill
