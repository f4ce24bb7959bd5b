// Bundles: when several tasks share one trainer, and who pays when it dies.
#include "tests/unit/server/scheduler/core_fixture.h"

namespace distill::server {
namespace {

using storage::FailureClass;
using storage::TaskState;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class CoreBundleTest : public CoreFixture {
 protected:
  static std::vector<TaskBuilder> Modules(int count) {
    std::vector<TaskBuilder> tasks;
    for (int i = 0; i < count; ++i) {
      tasks.push_back(TaskBuilder("module-" + std::to_string(i)).Group("distill"));
    }
    return tasks;
  }
  std::vector<LeaseSet> AcquireSets(const std::string& worker, int max_sets = 1) {
    const uint64_t call =
        Poll(worker, "auto-" + std::to_string(next_call_), max_sets, absl::ZeroDuration());
    return Answer<AcquireReply>(call)->lease_sets;
  }
};

TEST_F(CoreBundleTest, FewSlotsShareManyTasksEvenly) {
  Submit("j", Modules(5));
  Register(MakeWorker("w1"));
  Register(MakeWorker("w2"));
  const std::vector<LeaseSet> first = AcquireSets("w1");
  ASSERT_THAT(first, SizeIs(1));
  EXPECT_THAT(first[0].grants, SizeIs(3));  // ceil(5 / 2)
  EXPECT_EQ(first[0].grants[0].lease.task, "module-0");
  const std::vector<LeaseSet> second = AcquireSets("w2");
  ASSERT_THAT(second, SizeIs(1));
  EXPECT_THAT(second[0].grants, SizeIs(2));
}

TEST_F(CoreBundleTest, EnoughSlotsMeanNoBundle) {
  Submit("j", Modules(2));
  Register(MakeWorker("w1", 2));
  const std::vector<LeaseSet> sets = AcquireSets("w1", 2);
  ASSERT_THAT(sets, SizeIs(2));
  EXPECT_THAT(sets[0].grants, SizeIs(1));
}

TEST_F(CoreBundleTest, ObeysTheLargestBundle) {
  SubmitJob job = MakeJob("j", Modules(5));
  job.job.limits.max_bundle = 1;
  Submit(std::move(job));
  Register(MakeWorker("w1"));
  EXPECT_THAT(AcquireSets("w1").at(0).grants, SizeIs(1));
}

TEST_F(CoreBundleTest, TasksOfOtherGroupsDoNotJoin) {
  std::vector<TaskBuilder> tasks = Modules(2);
  tasks.push_back(TaskBuilder("evaluate"));
  Submit("j", tasks);
  Register(MakeWorker("w1"));
  EXPECT_THAT(AcquireSets("w1").at(0).grants, SizeIs(2));
}

// Nobody knows which member killed the trainer, so nobody is charged, and each is tried alone.
TEST_F(CoreBundleTest, TrainerDeathRequeuesEveryMemberUnchargedAsASingle) {
  Submit("j", Modules(3));
  Register(MakeWorker("w1"));
  const std::vector<LeaseSet> bundle = AcquireSets("w1");
  for (const Grant& grant : bundle.at(0).grants) {
    EXPECT_THAT(Fail(grant.lease, FailureClass::kInfrastructure, "trainer died"), IsOk());
  }
  for (int i = 0; i < 3; ++i) {
    const storage::TaskStatus status = TaskOf("j/module-" + std::to_string(i)).status;
    EXPECT_EQ(status.infrastructure_failures, 0);
    EXPECT_TRUE(status.solo);
    EXPECT_EQ(status.state, TaskState::kQueued);
  }
  const std::vector<LeaseSet> single = AcquireSets("w1");
  ASSERT_THAT(single.at(0).grants, SizeIs(1));
  EXPECT_THAT(Fail(single[0].grants[0].lease, FailureClass::kInfrastructure), IsOk());
  EXPECT_EQ(TaskOf("j/module-0").status.infrastructure_failures, 1);
}

TEST_F(CoreBundleTest, AnExpiredBundleIsUnchargedToo) {
  Submit("j", Modules(2));
  Register(MakeWorker("w1"));
  EXPECT_THAT(AcquireSets("w1").at(0).grants, SizeIs(2));
  Pass(kTerm);
  EXPECT_EQ(TaskOf("j/module-1").status.infrastructure_failures, 0);
  EXPECT_TRUE(TaskOf("j/module-1").status.solo);
}

TEST_F(CoreBundleTest, AMembersOwnFaultIsCharged) {
  Submit("j", Modules(2));
  Register(MakeWorker("w1"));
  const std::vector<Grant> grants = AcquireSets("w1").at(0).grants;
  EXPECT_THAT(Fail(grants[0].lease, FailureClass::kUser, "loss is nan"), IsOk());
  EXPECT_EQ(TaskOf("j/module-0").status.user_failures, 1);
  EXPECT_THAT(Finish(grants[1].lease), IsOk());
}

TEST_F(CoreBundleTest, AResumedAttemptGoesAlone) {
  Submit("j", Modules(3));
  Register(MakeWorker("w1"));
  const std::vector<Grant> grants = AcquireSets("w1").at(0).grants;
  EXPECT_THAT(Upload(DigestFor("checkpoint")), IsOk());
  EXPECT_THAT(Release(grants[0].lease, {DigestFor("checkpoint"), 0, 9}), IsOk());
  EXPECT_THAT(Release(grants[1].lease), IsOk());
  EXPECT_THAT(Release(grants[2].lease), IsOk());
  const std::vector<LeaseSet> resumed = AcquireSets("w1");
  ASSERT_THAT(resumed.at(0).grants, SizeIs(1));
  EXPECT_EQ(resumed[0].grants[0].checkpoint.step, 9);
}

TEST_F(CoreBundleTest, AFreeSlotElsewhereCallsForUnstartedMembers) {
  Submit("j", Modules(4));
  Register(MakeWorker("w1"));
  const std::vector<Grant> grants = AcquireSets("w1").at(0).grants;
  ASSERT_THAT(grants, SizeIs(4));
  const uint64_t busy = Poll("w1", "directives-only", 0);
  Register(MakeWorker("w2"));
  const uint64_t idle = Poll("w2", "r1");
  ASSERT_TRUE(Answered(busy));
  const std::vector<Directive> directives = Answer<AcquireReply>(busy)->directives;
  ASSERT_THAT(directives, SizeIs(2));
  for (const Directive& directive : directives) {
    EXPECT_THAT(directive, HasKind(Directive::Kind::kReleaseIfUnstarted));
    EXPECT_THAT(Release(directive.lease), IsOk());
  }
  const absl::StatusOr<AcquireReply> moved = Answer<AcquireReply>(idle);
  ASSERT_THAT(moved, IsOk());
  EXPECT_FALSE(TaskOf("j/module-3").status.solo);
  EXPECT_EQ(moved->lease_sets.at(0).grants.front().lease.task, directives[0].lease.task);
}

TEST_F(CoreBundleTest, StartedMembersAreLeftAlone) {
  Submit("j", Modules(4));
  Register(MakeWorker("w1"));
  std::vector<LeaseRef> leases;
  const std::vector<LeaseSet> bundle = AcquireSets("w1");
  for (const Grant& grant : bundle.at(0).grants) leases.push_back(grant.lease);
  EXPECT_THAT(Beat("w1", leases, /*started=*/true), IsEmpty());
  Register(MakeWorker("w2"));
  Poll("w2", "r1");
  EXPECT_THAT(Beat("w1", leases), IsEmpty());
}

TEST_F(CoreBundleTest, AnOldWorkerThatFitsNotIsNoUsableSlot) {
  std::vector<TaskBuilder> tasks;
  for (int i = 0; i < 4; ++i) {
    tasks.push_back(
        TaskBuilder("module-" + std::to_string(i)).Group("g").NumericClass("cpu-x86-avx512"));
  }
  Submit("j", tasks);
  WorkerInfo old = MakeWorker("old", 8);
  old.numeric_classes = {"cpu-x86-avx2"};
  Register(old);
  Register(MakeWorker("w1"));
  EXPECT_THAT(AcquireSets("w1").at(0).grants, SizeIs(4));
}

}  // namespace
}  // namespace distill::server
