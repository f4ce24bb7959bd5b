// Whose turn it is: priorities, shares of projects, ageing and quotas.
#include "base/error_details.h"
#include "base/error_reasons.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/server/scheduler/core_fixture.h"

namespace distill::server {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class CoreQuotaTest : public CoreFixture {
 protected:
  void SubmitOf(const std::string& project, const std::string& id, int tasks, int priority = 5) {
    std::vector<TaskBuilder> builders;
    for (int i = 0; i < tasks; ++i) builders.emplace_back("t" + std::to_string(i));
    SubmitJob job = MakeJob(id, builders);
    job.job.project = ProjectId(project);
    job.job.limits.priority = priority;
    Submit(std::move(job));
  }
  void Quota(storage::QuotaRecord quota) { EXPECT_THAT(Call(SetQuota{quota}), IsOk()); }
  // The jobs of the next `count` grants to a worker with as many slots, each given alone.
  std::map<std::string, int> Next(const std::string& worker, int count) {
    std::map<std::string, int> jobs;
    for (int i = 0; i < count; ++i) ++jobs[AcquireOne(worker).lease.job.str()];
    return jobs;
  }
};

TEST_F(CoreQuotaTest, HigherPriorityGoesFirst) {
  SubmitOf("p", "low", 1, 1);
  SubmitOf("p", "high", 1, 9);
  SubmitOf("p", "usual", 1);
  Register(MakeWorker("w1", 3));
  EXPECT_EQ(AcquireOne("w1").lease.job, JobId("high"));
  EXPECT_EQ(AcquireOne("w1").lease.job, JobId("usual"));
  EXPECT_EQ(AcquireOne("w1").lease.job, JobId("low"));
}

// What waits long enough is served, whatever goes on arriving.
TEST_F(CoreQuotaTest, WaitingRaisesThePriority) {
  SubmitOf("p", "low", 1, 3);
  Pass(absl::Minutes(19));
  SubmitOf("p", "usual", 2);
  Register(MakeWorker("w1", 3));
  EXPECT_EQ(AcquireOne("w1").lease.job, JobId("usual"));  // 3 + 1 < 5.
  Pass(absl::Minutes(1));
  Register(MakeWorker("w2"));
  EXPECT_EQ(core_.Explain(JobId("low"), "t0", now_)->effective_priority, 5);
  EXPECT_EQ(AcquireOne("w2").lease.job, JobId("low"));  // 3 + 2, and older.
}

// What is urgent does not wait for hours of somebody's background work.
TEST_F(CoreQuotaTest, AMuchHigherPriorityTakesASlotAfterAWhile) {
  SubmitOf("p", "older", 1, 1);
  Register(MakeWorker("w1", 3));
  const Grant older = AcquireOne("w1");
  Advance(absl::Seconds(10));
  SubmitOf("p", "younger", 1, 1);
  const Grant younger = AcquireOne("w1");
  SubmitOf("p", "equal", 1, 4);
  const Grant equal = AcquireOne("w1");
  const std::vector<LeaseRef> running = {older.lease, younger.lease, equal.lease};
  SubmitOf("p", "near", 1, 3);
  SubmitOf("p", "urgent", 2, 6);
  EXPECT_EQ(core_.NextDeadline(), now_ + absl::Seconds(20));  // The oldest lease.
  for (int i = 0; i < 11; ++i) {
    Advance(absl::Seconds(10));
    EXPECT_THAT(Beat("w1", running), IsEmpty()) << i;
  }
  Pass(absl::Seconds(10));
  // Of the lowest priority, the one that loses least; and one at a time.
  const std::vector<Directive> directives = Beat("w1", running);
  ASSERT_EQ(directives.size(), 1u);
  EXPECT_EQ(directives[0].kind, Directive::Kind::kPreemptAttempt);
  EXPECT_EQ(directives[0].lease.lease_id, younger.lease.lease_id);
  EXPECT_THAT(Release(younger.lease), IsOk());
  EXPECT_EQ(AcquireOne("w1").lease.job, JobId("urgent"));
  EXPECT_EQ(Beat("w1", {older.lease}).size(), 1u);  // And the next.
  EXPECT_EQ(AttemptOf("younger/t0", 1).failure_class, storage::FailureClass::kPreempted);
}

// Else the two take the slot from each other for ever: one by its wait, the other by its priority.
TEST_F(CoreQuotaTest, WhatIsServedForItsWaitKeepsItsSlot) {
  SubmitOf("p", "low", 1, 1);
  Pass(absl::Minutes(80));
  SubmitOf("p", "high", 1, 9);
  Register(MakeWorker("w1"));
  const Grant low = AcquireOne("w1");
  EXPECT_EQ(low.lease.job, JobId("low"));
  for (int i = 0; i < 15; ++i) {
    Advance(absl::Seconds(10));
    EXPECT_THAT(Beat("w1", {low.lease}), IsEmpty()) << i;
  }
}

TEST_F(CoreQuotaTest, ProjectsShareSlotsEvenlyWhoeverCameFirst) {
  SubmitOf("many", "j1", 20);
  SubmitOf("many", "j2", 20);
  SubmitOf("few", "j3", 20);
  Register(MakeWorker("w1", 8));
  const std::map<std::string, int> jobs = Next("w1", 8);
  EXPECT_EQ(jobs, (std::map<std::string, int>{{"j1", 4}, {"j3", 4}}));
}

TEST_F(CoreQuotaTest, AWeightIsAMultipleOfTheShare) {
  Quota({ProjectId("heavy"), 3, 0, 0, 0, 0});
  SubmitOf("light", "light", 20);
  SubmitOf("heavy", "heavy", 20);
  Register(MakeWorker("w1", 8));
  EXPECT_EQ(Next("w1", 8), (std::map<std::string, int>{{"heavy", 6}, {"light", 2}}));
}

// With one slot there is nothing to share at any moment, but there is over time.
TEST_F(CoreQuotaTest, WhoUsedTheSlotLastWaits) {
  SubmitOf("a", "a", 4);
  SubmitOf("b", "b", 4);
  Register(MakeWorker("w1"));
  std::string order;
  for (int i = 0; i < 8; ++i) {
    const Grant grant = AcquireOne("w1");
    order += grant.lease.job.str();
    Advance(absl::Seconds(20));
    EXPECT_THAT(Finish(grant.lease), IsOk());
  }
  EXPECT_EQ(order, "abababab");
}

TEST_F(CoreQuotaTest, AQuotaOfSlotsAndTasksHolds) {
  Quota({ProjectId("p"), 1, 2, 0, 0, 0});
  SubmitOf("p", "j", 5);
  Register(MakeWorker("w1", 4));
  EXPECT_EQ(Acquire("w1", 4).size(), 2u);
  EXPECT_EQ(core_.Explain(JobId("j"), "t4", now_)->reason, WaitReason::kQuota);
  Quota({ProjectId("p"), 1, 0, 3, 0, 0});
  EXPECT_EQ(Acquire("w1", 4).size(), 1u);
  // A lower quota takes nothing away, and is kept to from then on.
  Quota({ProjectId("p"), 1, 1, 0, 0, 0});
  EXPECT_THAT(Acquire("w1", 4), IsEmpty());
  EXPECT_THAT(Call(DeleteQuota{ProjectId("p")}), IsOk());
  EXPECT_EQ(Acquire("w1", 4).size(), 1u);
}

TEST_F(CoreQuotaTest, AQuotaFreesALongPollWhenThereIsRoomAgain) {
  Quota({ProjectId("p"), 1, 1, 0, 0, 0});
  SubmitOf("p", "j", 2);
  Register(MakeWorker("w1", 2));
  const Grant grant = AcquireOne("w1");
  const uint64_t poll = Poll("w1", "r1");
  EXPECT_FALSE(Answered(poll));
  EXPECT_THAT(Finish(grant.lease), IsOk());
  EXPECT_TRUE(Answered(poll));
}

TEST_F(CoreQuotaTest, ABundleStaysWithinTheQuotaOfTasks) {
  Quota({ProjectId("default"), 1, 0, 3, 0, 0});
  std::vector<TaskBuilder> tasks;
  for (int i = 0; i < 8; ++i) tasks.push_back(TaskBuilder("t" + std::to_string(i)).Group("g"));
  Submit("j", tasks);
  Register(MakeWorker("w1"));
  EXPECT_EQ(Acquire("w1").size(), 3u);
}

TEST_F(CoreQuotaTest, SubmissionsPerHourAreLimited) {
  Quota({ProjectId("p"), 1, 0, 0, 0, 2});
  SubmitOf("p", "j1", 1);
  SubmitOf("p", "j2", 1);
  SubmitJob third = MakeJob("j3", {TaskBuilder("a")});
  third.job.project = ProjectId("p");
  const absl::Status refused = Call(third).status();
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted,
                                HasSubstr("quota=max_submits_per_hour limit=2")));
  const ErrorDetails details = DetailsOf(refused);
  EXPECT_EQ(details.reason, reason::kQuotaUsedUp);
  ASSERT_THAT(details.quotas, SizeIs(1));
  EXPECT_EQ(details.quotas[0].subject, "project:p");
  EXPECT_THAT(details.quotas[0].description, HasSubstr("max_submits_per_hour is 2"));
  EXPECT_EQ(details.retry_delay, absl::Seconds(1801));
  SubmitOf("other", "j4", 1);
  // A repeat is no submission.
  SubmitJob repeated = MakeJob("j1", {TaskBuilder("t0")});
  repeated.job.project = ProjectId("p");
  EXPECT_TRUE(Call(repeated)->existed);
  Pass(absl::Minutes(30));
  EXPECT_THAT(Call(third), IsOk());
}

TEST_F(CoreQuotaTest, BytesAreLookedAtWhenAJobIsSubmitted) {
  Quota({ProjectId("default"), 1, 0, 0, 100, 0});
  Submit("j1", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  EXPECT_THAT(Finish(AcquireOne("w1").lease), IsOk());  // 100 bytes.
  EXPECT_THAT(Call(MakeJob("j2", {TaskBuilder("a")})),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("quota=max_blob_bytes")));
  EXPECT_THAT(Call(DeleteJob{JobId("j1")}), IsOk());
  EXPECT_THAT(Call(MakeJob("j2", {TaskBuilder("a")})), IsOk());
}

TEST_F(CoreQuotaTest, QuotasOutliveARestart) {
  Quota({ProjectId("p"), 4, 1, 0, 0, 7});
  SubmitOf("p", "j", 3);
  Register(MakeWorker("w1", 3));
  const Grant grant = AcquireOne("w1");
  Restart();
  Register(MakeWorker("w1", 3), {grant.lease});
  EXPECT_THAT(Acquire("w1", 3), IsEmpty());
  const std::vector<QuotaView> views = core_.Quotas(now_);
  ASSERT_EQ(views.size(), 1u);
  EXPECT_EQ(views[0].quota.weight, 4);
  EXPECT_EQ(views[0].slots_in_use, 1);
  EXPECT_DOUBLE_EQ(views[0].share, 0.25);
}

TEST_F(CoreQuotaTest, RefusesQuotasWithoutSense) {
  EXPECT_THAT(Call(SetQuota{{ProjectId("p"), 0, 0, 0, 0, 0}}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Call(SetQuota{{ProjectId("p"), 1, -1, 0, 0, 0}}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Call(SetQuota{{ProjectId(), 1, 0, 0, 0, 0}}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace distill::server
