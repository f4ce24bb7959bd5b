// What failures say: about a worker that fails whatever it is given, about a task that fails
// wherever it runs, and about the pause before the next try.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/server/scheduler/core_fixture.h"

namespace distill::server {
namespace {

using storage::FailureClass;
using storage::Quarantine;
using storage::TaskState;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CoreHealthTest : public CoreFixture {
 protected:
  // So many tasks that nobody else wants.
  void SubmitTasks(int count) {
    std::vector<TaskBuilder> tasks;
    for (int i = 0; i < count; ++i) tasks.emplace_back("t" + std::to_string(i));
    Submit("j", tasks);
  }
  // Fails one task after another on the worker until it gets none, at most `most`. Returns how
  // many.
  int FailAll(const std::string& worker, int most) {
    int failed = 0;
    while (failed < most) {
      const std::vector<Grant> grants = Acquire(worker);
      if (grants.empty()) break;
      EXPECT_THAT(Fail(grants[0].lease, FailureClass::kInfrastructure, "no such device"), IsOk());
      ++failed;
    }
    return failed;
  }
  absl::Status Die(const LeaseRef& lease) {
    FailAttempts event;
    event.worker = HolderOf(lease);
    event.items.push_back({lease, FailureClass::kInfrastructure, "signal 11", {}, "", true});
    return Call(std::move(event))->statuses.at(0);
  }
  WorkerView ViewOf(const std::string& worker) const {
    return core_.FindWorker(WorkerId(worker), now_);
  }
};

// A broken machine eats one task after the other, quickly, if it is let.
TEST_F(CoreHealthTest, AWorkerThatFailsEverythingIsQuarantined) {
  SubmitTasks(20);
  Register(MakeWorker("bad"));
  EXPECT_EQ(FailAll("bad", 20), 5);
  EXPECT_EQ(ViewOf("bad").quarantine, Quarantine::kAutomatic);
  EXPECT_THAT(ViewOf("bad").quarantine_reason, HasSubstr("no such device"));
  EXPECT_EQ(core_.Explain(JobId("j"), "t10", now_)->reason, WaitReason::kUnavailable);
  // Others go on.
  Register(MakeWorker("good"));
  EXPECT_THAT(Finish(AcquireOne("good").lease), IsOk());
}

TEST_F(CoreHealthTest, ACanaryThatSucceedsEndsTheQuarantine) {
  SubmitTasks(20);
  Register(MakeWorker("bad", 4));
  EXPECT_EQ(FailAll("bad", 20), 5);
  Pass(absl::Minutes(1));
  EXPECT_THAT(Beat("bad", {}), IsEmpty());
  const std::vector<Grant> canary = Acquire("bad", 4);
  ASSERT_EQ(canary.size(), 1u);
  EXPECT_THAT(Acquire("bad", 4), IsEmpty());  // One at a time.
  EXPECT_THAT(Finish(canary[0].lease), IsOk());
  EXPECT_EQ(ViewOf("bad").quarantine, Quarantine::kNone);
  EXPECT_EQ(Acquire("bad", 4).size(), 4u);
}

TEST_F(CoreHealthTest, EachCanaryThatFailsDoublesTheWait) {
  SubmitTasks(20);
  Register(MakeWorker("bad"));
  EXPECT_EQ(FailAll("bad", 20), 5);
  absl::Duration wait = absl::Minutes(1);
  for (int i = 0; i < 8; ++i) {
    Pass(wait - absl::Seconds(1));
    Beat("bad", {});
    EXPECT_THAT(Acquire("bad"), IsEmpty());
    Pass(absl::Seconds(1));
    EXPECT_THAT(Fail(AcquireOne("bad").lease, FailureClass::kInfrastructure), IsOk());
    wait = std::min(wait * 2, absl::Hours(1));
  }
}

TEST_F(CoreHealthTest, AnOpenPollGetsTheCanaryWhenItsTimeComes) {
  SubmitTasks(20);
  Register(MakeWorker("bad"));
  EXPECT_EQ(FailAll("bad", 20), 5);
  Advance(absl::Seconds(50));
  const uint64_t poll = Poll("bad", "late");
  EXPECT_FALSE(Answered(poll));
  Pass(absl::Seconds(10));
  ASSERT_TRUE(Answered(poll));
  EXPECT_EQ(Answer<AcquireReply>(poll)->lease_sets.size(), 1u);
}

TEST_F(CoreHealthTest, OneTaskAloneQuarantinesNobody) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(Fail(AcquireOne("w1").lease, FailureClass::kInfrastructure), IsOk());
    Pass(absl::Minutes(2));
    Beat("w1", {});
  }
  EXPECT_EQ(ViewOf("w1").quarantine, Quarantine::kNone);
  EXPECT_EQ(ViewOf("w1").failures_in_a_row, 10);
}

TEST_F(CoreHealthTest, TheUsersFailuresSayNothingAboutTheWorker) {
  Register(MakeWorker("w1"));
  for (int i = 0; i < 8; ++i) {
    Submit("j" + std::to_string(i), {TaskBuilder("a")});
    EXPECT_THAT(Fail(AcquireOne("w1").lease, FailureClass::kUser), IsOk());
  }
  EXPECT_EQ(ViewOf("w1").quarantine, Quarantine::kNone);
}

TEST_F(CoreHealthTest, APersonMayQuarantineAndRelease) {
  Submit("j", {TaskBuilder("a"), TaskBuilder("b")});
  Register(MakeWorker("w1", 2));
  const Grant grant = AcquireOne("w1");
  EXPECT_THAT(Call(QuarantineWorker{WorkerId("w1"), "it smokes"}), IsOk());
  EXPECT_THAT(Acquire("w1"), IsEmpty());
  EXPECT_THAT(Finish(grant.lease), IsOk());  // What runs may finish, and proves nothing.
  EXPECT_EQ(ViewOf("w1").quarantine, Quarantine::kManual);
  Restart();
  Register(MakeWorker("w1", 2));
  EXPECT_EQ(ViewOf("w1").quarantine_reason, "it smokes");
  Pass(absl::Hours(3));
  Beat("w1", {});
  EXPECT_THAT(Acquire("w1"), IsEmpty());
  EXPECT_THAT(Call(ReleaseWorker{WorkerId("w1")}), IsOk());
  EXPECT_EQ(Acquire("w1").size(), 1u);
  EXPECT_THAT(Call(QuarantineWorker{WorkerId("ghost"), ""}), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(CoreHealthTest, AnAutomaticQuarantineOutlivesARestart) {
  SubmitTasks(20);
  Register(MakeWorker("bad"));
  EXPECT_EQ(FailAll("bad", 20), 5);
  Restart();
  Register(MakeWorker("bad"));
  EXPECT_THAT(Acquire("bad"), IsEmpty());
  Pass(absl::Minutes(1));
  Beat("bad", {});
  EXPECT_EQ(Acquire("bad").size(), 1u);
}

// Which kills the trainer wherever it runs, is not tried on the whole fleet.
TEST_F(CoreHealthTest, ATaskThatKillsTrainersOnFourWorkersIsPoison) {
  Submit("j", {TaskBuilder("a")});
  for (int i = 1; i <= 4; ++i) {
    const std::string worker = "w" + std::to_string(i);
    Register(MakeWorker(worker));
    EXPECT_EQ(StateOf("j/a"), TaskState::kQueued);
    EXPECT_THAT(Die(AcquireOne(worker).lease), IsOk());
    Pass(absl::Minutes(2));
  }
  EXPECT_EQ(StateOf("j/a"), TaskState::kFailed);
  EXPECT_EQ(AttemptOf("j/a", 4).failure_class, FailureClass::kPoison);
  EXPECT_THAT(store_.GetJob(JobId("j"))->status.failure_message,
              HasSubstr("killed the trainers of 4 workers; the last: signal 11"));
}

TEST_F(CoreHealthTest, ATaskThatGetsOnIsNoPoison) {
  Submit("j", {TaskBuilder("a")});
  for (int i = 1; i <= 8; ++i) {
    const std::string worker = "w" + std::to_string(i);
    Register(MakeWorker(worker));
    const Grant grant = AcquireOne(worker);
    const Digest digest = DigestFor("checkpoint " + std::to_string(i));
    EXPECT_THAT(Upload(digest), IsOk());
    Heartbeat beat;
    beat.worker = WorkerId(worker);
    beat.leases.push_back({grant.lease, {}, {digest, 0, i * 10}, true});
    EXPECT_THAT(Call(std::move(beat)), IsOk());
    EXPECT_THAT(Die(grant.lease), IsOk());
    // One failure since its progress: the shortest pause.
    const absl::Duration delay = core_.NextDeadline() - now_;
    EXPECT_LE(delay, absl::Seconds(1.25));
    Pass(absl::Minutes(2));
  }
  EXPECT_EQ(StateOf("j/a"), TaskState::kQueued);
}

// The same words from another machine: it is the task, and a third try would only cost time.
TEST_F(CoreHealthTest, AUserErrorThatRepeatsElsewhereIsFinal) {
  Submit("j", {TaskBuilder("a"), TaskBuilder("b")});
  Register(MakeWorker("w1"));
  Register(MakeWorker("w2"));
  EXPECT_THAT(Fail(AcquireOne("w1").lease, FailureClass::kUser, "label 11 of 10"), IsOk());
  Pass(absl::Seconds(5));
  Grant grant = AcquireOne("w2");
  EXPECT_EQ(grant.lease.task, "a");
  EXPECT_THAT(Fail(grant.lease, FailureClass::kUser, "label 11 of 10"), IsOk());
  EXPECT_EQ(StateOf("j/a"), TaskState::kFailed);
  EXPECT_EQ(TaskOf("j/a").status.user_failures, 2);
  EXPECT_THAT(store_.GetJob(JobId("j"))->status.failure_message,
              HasSubstr("the same error on another worker"));
}

TEST_F(CoreHealthTest, AnAttemptThatOnlyHeartbeatsHasFailed) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  const auto beat = [&](int64_t step) {
    Heartbeat event;
    event.worker = WorkerId("w1");
    event.leases.push_back({grant.lease, {}, {}, true});
    event.leases.back().progress.step = step;
    return Call(std::move(event))->directives;
  };
  EXPECT_THAT(beat(1), IsEmpty());
  // 20 minutes from the last news; news every 10 s mean nothing else.
  for (int64_t step = 2; step < 20; ++step) {
    Advance(absl::Seconds(10));
    EXPECT_THAT(beat(step), IsEmpty());
  }
  for (int i = 1; i < 120; ++i) {
    Advance(absl::Seconds(10));
    EXPECT_THAT(beat(19), IsEmpty()) << i;
  }
  Advance(absl::Seconds(10));
  EXPECT_THAT(beat(19), ElementsAre(HasKind(Directive::Kind::kAbandonAttempt)));
  EXPECT_EQ(StateOf("j/a"), TaskState::kQueued);
  EXPECT_EQ(TaskOf("j/a").status.infrastructure_failures, 1);
  // And it stays so: going on to heartbeat does not bring it back.
  EXPECT_THAT(beat(19), ElementsAre(HasKind(Directive::Kind::kAbandonAttempt)));
}

}  // namespace
}  // namespace distill::server
