// Second attempts of stragglers: who gets one, what it may cost, and that the first result wins.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/server/scheduler/core_fixture.h"

namespace distill::server {
namespace {

using storage::AttemptState;
using storage::FailureClass;
using storage::JobState;
using storage::TaskState;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class CoreSpeculationTest : public CoreFixture {
 protected:
  // Runs `count` tasks with keys on w1; all but the last are done at ten steps a second, the last
  // is at step 10 after a minute and a half.
  void MakeStraggler(const std::string& numeric_class = "cpu-x86-avx2", int count = 4) {
    std::vector<TaskBuilder> tasks;
    for (int i = 0; i < count; ++i) {
      tasks.emplace_back("t" + std::to_string(i));
      tasks.back().NumericClass(numeric_class);
    }
    Submit("j", tasks);
    Register(MakeWorker("w1", count));
    std::vector<LeaseRef> leases;
    for (const Grant& grant : Acquire("w1", count)) leases.push_back(grant.lease);
    ASSERT_EQ(leases.size(), static_cast<size_t>(count));
    for (const LeaseRef& lease : leases) Report("w1", lease, 0);
    Advance(absl::Seconds(20));
    for (const LeaseRef& lease : leases)
      Report("w1", lease, lease.task == leases.back().task ? 5 : 200);
    straggler_ = leases.back();
    leases.pop_back();
    for (const LeaseRef& lease : leases) EXPECT_THAT(Finish(lease), IsOk());
    for (int i = 0; i < 4; ++i) {
      Advance(absl::Seconds(20));
      Report("w1", straggler_, 10);
    }
  }
  std::vector<Directive> Report(const std::string& worker, const LeaseRef& lease, int64_t step) {
    Heartbeat beat;
    beat.worker = WorkerId(worker);
    beat.leases.push_back({lease, {}, {}, true});
    beat.leases.back().progress.step = step;
    beat.leases.back().progress.total_steps = 10000;
    const absl::StatusOr<Directives> reply = Call(std::move(beat));
    EXPECT_THAT(reply, IsOk());
    return reply->directives;
  }

  LeaseRef straggler_;
};

TEST_F(CoreSpeculationTest, AnIdleSlotTriesAStragglerAgainAndTheFirstResultWins) {
  MakeStraggler();
  EXPECT_THAT(Acquire("w1", 4), IsEmpty());  // Not beside itself.
  Register(MakeWorker("w2"));
  const Grant second = AcquireOne("w2");
  EXPECT_EQ(second.lease.task, straggler_.task);
  EXPECT_EQ(second.lease.attempt_number, 2);
  EXPECT_EQ(StateOf("j/" + straggler_.task), TaskState::kRunning);
  Register(MakeWorker("w3"));
  EXPECT_THAT(Acquire("w3"), IsEmpty());  // Two are enough.

  Restart();
  Register(MakeWorker("w1", 4), {straggler_});
  Register(MakeWorker("w2"), {second.lease});
  EXPECT_THAT(Finish(second.lease), IsOk());
  EXPECT_EQ(JobStateOf("j"), JobState::kSucceeded);
  EXPECT_EQ(TaskOf("j/" + straggler_.task).status.winner_attempt, 2);
  EXPECT_EQ(AttemptOf("j/" + straggler_.task, 1).state, AttemptState::kCancelled);
  EXPECT_THAT(Report("w1", straggler_, 11), ElementsAre(HasKind(Directive::Kind::kAbandonAttempt)));
  EXPECT_THAT(Finish(straggler_), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(CoreSpeculationTest, TheStragglerMayStillBeFirst) {
  MakeStraggler();
  Register(MakeWorker("w2"));
  const Grant second = AcquireOne("w2");
  EXPECT_THAT(Finish(straggler_), IsOk());
  EXPECT_EQ(TaskOf("j/" + straggler_.task).status.winner_attempt, 1);
  EXPECT_THAT(Report("w2", second.lease, 1),
              ElementsAre(HasKind(Directive::Kind::kAbandonAttempt)));
}

TEST_F(CoreSpeculationTest, OneAttemptMayFailWhileTheOtherGoesOn) {
  MakeStraggler();
  Register(MakeWorker("w2"));
  const Grant second = AcquireOne("w2");
  EXPECT_THAT(Fail(straggler_, FailureClass::kInfrastructure), IsOk());
  EXPECT_EQ(StateOf("j/" + straggler_.task), TaskState::kRunning);
  EXPECT_EQ(TaskOf("j/" + straggler_.task).status.infrastructure_failures, 1);
  EXPECT_THAT(Release(second.lease), IsOk());
  EXPECT_EQ(StateOf("j/" + straggler_.task), TaskState::kQueued);
}

TEST_F(CoreSpeculationTest, AFailureForGoodEndsBoth) {
  MakeStraggler();
  Register(MakeWorker("w2"));
  const Grant second = AcquireOne("w2");
  EXPECT_THAT(Fail(straggler_, FailureClass::kPoison), IsOk());
  EXPECT_EQ(JobStateOf("j"), JobState::kFailed);
  EXPECT_EQ(AttemptOf("j/" + straggler_.task, 2).state, AttemptState::kCancelled);
  EXPECT_THAT(Report("w2", second.lease, 1),
              ElementsAre(HasKind(Directive::Kind::kAbandonAttempt)));
}

TEST_F(CoreSpeculationTest, CancellingAJobStopsBoth) {
  MakeStraggler();
  Register(MakeWorker("w2"));
  const Grant second = AcquireOne("w2");
  EXPECT_THAT(Call(CancelJob{JobId("j")}), IsOk());
  EXPECT_THAT(Report("w1", straggler_, 11), ElementsAre(HasKind(Directive::Kind::kStopAttempt)));
  EXPECT_THAT(Report("w2", second.lease, 1), ElementsAre(HasKind(Directive::Kind::kStopAttempt)));
  EXPECT_THAT(Release(straggler_), IsOk());
  EXPECT_EQ(JobStateOf("j"), JobState::kCancelling);
  EXPECT_THAT(Release(second.lease), IsOk());
  EXPECT_EQ(JobStateOf("j"), JobState::kCancelled);
}

TEST_F(CoreSpeculationTest, PausingAJobWantsBothBack) {
  MakeStraggler();
  Register(MakeWorker("w2"));
  const Grant second = AcquireOne("w2");
  EXPECT_THAT(Call(PauseJob{JobId("j"), true}), IsOk());
  EXPECT_THAT(Report("w1", straggler_, 11), ElementsAre(HasKind(Directive::Kind::kPreemptAttempt)));
  EXPECT_THAT(Report("w2", second.lease, 1),
              ElementsAre(HasKind(Directive::Kind::kPreemptAttempt)));
  EXPECT_THAT(Release(second.lease), IsOk());
  EXPECT_THAT(Release(straggler_), IsOk());
  EXPECT_EQ(StateOf("j/" + straggler_.task), TaskState::kQueued);
}

// Without a promise of equal bits the two results might differ.
TEST_F(CoreSpeculationTest, NothingIsTriedTwiceWithoutANumericClass) {
  MakeStraggler("any");
  Register(MakeWorker("w2"));
  EXPECT_THAT(Acquire("w2"), IsEmpty());
}

TEST_F(CoreSpeculationTest, TwoDoneTasksSayTooLittleAboutThePace) {
  MakeStraggler("cpu-x86-avx2", 3);
  Register(MakeWorker("w2"));
  EXPECT_THAT(Acquire("w2"), IsEmpty());
}

TEST_F(CoreSpeculationTest, QueuedTasksGoFirst) {
  MakeStraggler();
  Submit("next", {TaskBuilder("a")});
  Register(MakeWorker("w2"));
  EXPECT_EQ(AcquireOne("w2").lease.job, JobId("next"));
}

}  // namespace
}  // namespace distill::server
