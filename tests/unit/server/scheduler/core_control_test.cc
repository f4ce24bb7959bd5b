// Pausing, resuming, deleting and retrying jobs; leases that are wanted back; and what a task that
// waits says about it.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/server/scheduler/core_fixture.h"

namespace distill::server {
namespace {

using storage::FailureClass;
using storage::JobState;
using storage::TaskState;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CoreControlTest : public CoreFixture {
 protected:
  absl::Status Pause(const std::string& job) { return Call(PauseJob{JobId(job), true}).status(); }
  absl::Status Resume(const std::string& job) { return Call(PauseJob{JobId(job), false}).status(); }
  Explanation Explain(const std::string& job, const std::string& task) {
    return core_.Explain(JobId(job), task, now_).value();
  }
  WaitReason ReasonOf(const std::string& job, const std::string& task) {
    return Explain(job, task).reason;
  }
};

TEST_F(CoreControlTest, APausedJobStartsNothingAndItsRunningTasksAreWantedBack) {
  Submit("j", {TaskBuilder("a"), TaskBuilder("b"), TaskBuilder("c", {"a"})});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  const uint64_t poll = Poll("w1", "r1", 0);
  EXPECT_THAT(Pause("j"), IsOk());
  EXPECT_THAT(Pause("j"), IsOk());  // Idempotent.
  EXPECT_EQ(JobStateOf("j"), JobState::kPaused);
  EXPECT_THAT(Answer<AcquireReply>(poll)->directives,
              ElementsAre(HasKind(Directive::Kind::kPreemptAttempt)));
  EXPECT_THAT(Beat("w1", {grant.lease}), ElementsAre(HasKind(Directive::Kind::kPreemptAttempt)));
  EXPECT_THAT(Upload(DigestFor("checkpoint")), IsOk());
  EXPECT_THAT(Release(grant.lease, {DigestFor("checkpoint"), 0, 40}), IsOk());
  EXPECT_THAT(Acquire("w1"), IsEmpty());
  EXPECT_EQ(ReasonOf("j", "a"), WaitReason::kJobPaused);
  EXPECT_EQ(ReasonOf("j", "b"), WaitReason::kJobPaused);
  EXPECT_EQ(ReasonOf("j", "c"), WaitReason::kInputs);

  EXPECT_THAT(Resume("j"), IsOk());
  EXPECT_EQ(JobStateOf("j"), JobState::kRunning);
  const Grant again = AcquireOne("w1");
  EXPECT_EQ(again.lease.task, "a");
  EXPECT_EQ(again.checkpoint.step, 40);
  EXPECT_EQ(TaskOf("j/a").status.infrastructure_failures, 0);
}

TEST_F(CoreControlTest, APauseOutlivesARestart) {
  Submit("j", {TaskBuilder("a"), TaskBuilder("b")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  EXPECT_THAT(Pause("j"), IsOk());
  Restart();
  EXPECT_EQ(JobStateOf("j"), JobState::kPaused);
  EXPECT_THAT(Register(MakeWorker("w1"), {grant.lease}),
              Contains(HasKind(Directive::Kind::kPreemptAttempt)));
  EXPECT_THAT(Release(grant.lease), IsOk());
  EXPECT_THAT(Acquire("w1"), IsEmpty());
  EXPECT_THAT(Resume("j"), IsOk());
  EXPECT_EQ(Acquire("w1").size(), 1u);
}

// A worker that does not hand back what was preempted loses it, and nobody is charged.
TEST_F(CoreControlTest, APreemptedLeaseEndsByItsDeadline) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  EXPECT_THAT(Pause("j"), IsOk());
  for (int i = 0; i < 6; ++i) {
    Advance(absl::Seconds(10));
    Beat("w1", {grant.lease});
  }
  EXPECT_EQ(StateOf("j/a"), TaskState::kQueued);
  EXPECT_EQ(AttemptOf("j/a", 1).failure_class, FailureClass::kPreempted);
  EXPECT_EQ(TaskOf("j/a").status.infrastructure_failures, 0);
  // It is not given back by going on heartbeating, but finished work is finished.
  EXPECT_THAT(Beat("w1", {grant.lease}), ElementsAre(HasKind(Directive::Kind::kAbandonAttempt)));
  EXPECT_THAT(Finish(grant.lease), IsOk());
  EXPECT_EQ(JobStateOf("j"), JobState::kSucceeded);
}

TEST_F(CoreControlTest, APausedJobMayEndInEveryWay) {
  Register(MakeWorker("w1", 4));
  Submit("done", {TaskBuilder("a")});
  const Grant done = AcquireOne("w1");
  Submit("failed", {TaskBuilder("a"), TaskBuilder("b")});
  const Grant failed = AcquireOne("w1");
  Submit("cancelled", {TaskBuilder("a")});
  for (const char* job : {"done", "failed", "cancelled"}) EXPECT_THAT(Pause(job), IsOk());
  EXPECT_THAT(Finish(done.lease), IsOk());
  EXPECT_EQ(JobStateOf("done"), JobState::kSucceeded);
  EXPECT_THAT(Call(CancelJob{JobId("cancelled")}), IsOk());
  EXPECT_EQ(JobStateOf("cancelled"), JobState::kCancelled);
  EXPECT_THAT(Fail(failed.lease, FailureClass::kPoison), IsOk());
  EXPECT_EQ(JobStateOf("failed"), JobState::kFailed);
  for (const char* job : {"done", "failed", "cancelled"}) {
    EXPECT_THAT(Pause(job), StatusIs(absl::StatusCode::kFailedPrecondition));
    EXPECT_THAT(Resume(job), StatusIs(absl::StatusCode::kFailedPrecondition));
  }
  EXPECT_THAT(Pause("ghost"), StatusIs(absl::StatusCode::kNotFound));
}

// A pause must not hold up another job that waits for the same result.
TEST_F(CoreControlTest, AnEqualTaskOfAnotherJobGoesOnInPlaceOfAPausedOne) {
  Submit("j1", {TaskBuilder("a").Key("k")});
  Submit("j2", {TaskBuilder("a").Key("k")});
  EXPECT_EQ(ReasonOf("j2", "a"), WaitReason::kEqualTask);
  EXPECT_THAT(Pause("j1"), IsOk());
  EXPECT_EQ(ReasonOf("j1", "a"), WaitReason::kEqualTask);
  EXPECT_EQ(ReasonOf("j2", "a"), WaitReason::kNoWorker);
  // Who comes later takes over at once as well.
  EXPECT_THAT(Pause("j2"), IsOk());
  Submit("j3", {TaskBuilder("a").Key("k")});
  EXPECT_EQ(ReasonOf("j3", "a"), WaitReason::kNoWorker);
  Restart();
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  EXPECT_EQ(grant.lease.job, JobId("j3"));
  EXPECT_THAT(Finish(grant.lease), IsOk());
  EXPECT_EQ(JobStateOf("j1"), JobState::kSucceeded);
  EXPECT_EQ(JobStateOf("j2"), JobState::kSucceeded);
}

TEST_F(CoreControlTest, WhoIsResumedTakesOverFromWhoIsStillPaused) {
  Submit("j1", {TaskBuilder("a").Key("k")});
  Submit("j2", {TaskBuilder("a").Key("k")});
  EXPECT_THAT(Pause("j2"), IsOk());
  EXPECT_THAT(Pause("j1"), IsOk());
  EXPECT_THAT(Resume("j2"), IsOk());
  Register(MakeWorker("w1"));
  EXPECT_EQ(AcquireOne("w1").lease.job, JobId("j2"));
}

TEST_F(CoreControlTest, DeletesOnlyWhatIsOver) {
  Submit("j", {TaskBuilder("a").Key("k")});
  EXPECT_THAT(Call(DeleteJob{JobId("j")}), StatusIs(absl::StatusCode::kFailedPrecondition));
  Register(MakeWorker("w1"));
  EXPECT_THAT(Finish(AcquireOne("w1").lease), IsOk());
  EXPECT_THAT(Call(DeleteJob{JobId("j")}), IsOk());
  EXPECT_THAT(Call(DeleteJob{JobId("j")}), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_.GetJob(JobId("j")), StatusIs(absl::StatusCode::kNotFound));
  // The result outlives the job that made it.
  Submit("j2", {TaskBuilder("a").Key("k")});
  EXPECT_EQ(JobStateOf("j2"), JobState::kSucceeded);
}

TEST_F(CoreControlTest, ARetryGoesOnFromTheCheckpointsOfWhatWasCancelled) {
  Submit("j1", {TaskBuilder("a").Key("k")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  EXPECT_THAT(Upload(DigestFor("checkpoint")), IsOk());
  Heartbeat beat;
  beat.worker = WorkerId("w1");
  beat.leases.push_back({grant.lease, {}, {DigestFor("checkpoint"), 0, 40}, true});
  EXPECT_THAT(Call(std::move(beat)), IsOk());
  EXPECT_THAT(Call(CancelJob{JobId("j1")}), IsOk());
  EXPECT_THAT(Release(grant.lease), IsOk());
  SubmitJob again = MakeJob("j2", {TaskBuilder("a").Key("k")});
  again.retry_of = JobId("j1");
  Submit(std::move(again));
  Restart();
  Register(MakeWorker("w1"));
  EXPECT_EQ(AcquireOne("w1").checkpoint.step, 40);
}

TEST_F(CoreControlTest, ADrainWithADeadlinePreemptsWhatIsLeft) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  DrainWorker drain;
  drain.worker = WorkerId("w1");
  drain.deadline = absl::Seconds(20);
  EXPECT_THAT(Call(drain), IsOk());
  EXPECT_THAT(Beat("w1", {grant.lease}), ElementsAre(HasKind(Directive::Kind::kDrain)));
  EXPECT_EQ(core_.FindWorker(WorkerId("w1"), now_).drain_deadline, Now().wall + absl::Seconds(20));
  Restart();  // The deadline outlives it.
  Register(MakeWorker("w1"), {grant.lease});
  EXPECT_EQ(core_.NextDeadline(), now_ + absl::Seconds(20));
  Pass(absl::Seconds(20));
  EXPECT_THAT(Beat("w1", {grant.lease}), ElementsAre(HasKind(Directive::Kind::kDrain),
                                                     HasKind(Directive::Kind::kPreemptAttempt)));
  EXPECT_THAT(Release(grant.lease), IsOk());
  EXPECT_EQ(StateOf("j/a"), TaskState::kQueued);
}

TEST_F(CoreControlTest, RefusesWhatNoKnownWorkerCouldEverRun) {
  // With nobody there, nothing is known to be impossible.
  EXPECT_THAT(Call(MakeJob("early", {TaskBuilder("a").NumericClass("cuda-sm90")})), IsOk());
  Register(MakeWorker("w1"));
  SubmitJob job = MakeJob("j", {TaskBuilder("a"), TaskBuilder("b").NumericClass("cuda-sm90")});
  EXPECT_THAT(Call(job), StatusIs(absl::StatusCode::kFailedPrecondition,
                                  HasSubstr("has no numeric class cuda-sm90")));
  job.allow_unplaceable = true;
  EXPECT_THAT(Call(job), IsOk());
}

TEST_F(CoreControlTest, ExplainsWhatKeepsATaskFromEachWorker) {
  WorkerInfo gpu = MakeWorker("gpu");
  gpu.device_kind = "cuda";
  gpu.numeric_classes = {"cuda-sm90"};
  WorkerInfo small = MakeWorker("small");
  small.slot_memory_bytes = 1 << 20;
  Register(gpu);
  Register(small);
  Register(MakeWorker("busy"));
  Register(MakeWorker("draining"));
  Register(MakeWorker("quarantined"));
  Register(MakeWorker("silent"));
  Submit("first", {TaskBuilder("a")});
  AcquireOne("busy");
  EXPECT_THAT(Call(DrainWorker{WorkerId("draining")}), IsOk());
  EXPECT_THAT(Call(QuarantineWorker{WorkerId("quarantined"), "it smokes"}), IsOk());
  TaskBuilder demanding("a");
  demanding.NumericClass("cpu-x86-avx2");
  demanding.record.definition.memory_bytes = 2 << 20;
  Submit("j", {demanding});

  const Explanation explanation = Explain("j", "a");
  EXPECT_EQ(explanation.state, TaskState::kQueued);
  EXPECT_EQ(explanation.reason, WaitReason::kTurn);
  std::map<std::string, Predicate> failed;
  for (const WorkerFit& fit : explanation.workers) failed[fit.worker.str()] = fit.failed;
  EXPECT_EQ(failed, (std::map<std::string, Predicate>{
                        {"busy", Predicate::kFreeSlot},
                        {"draining", Predicate::kNotDraining},
                        {"gpu", Predicate::kNumericClass},
                        {"quarantined", Predicate::kNotQuarantined},
                        {"silent", Predicate::kAsking},
                        {"small", Predicate::kMemory},
                    }));
  EXPECT_EQ(ReasonOf("first", "a"), WaitReason::kNone);
  EXPECT_THAT(core_.Explain(JobId("j"), "ghost", now_), StatusIs(absl::StatusCode::kNotFound));
  Pass(kTerm * 2);
  EXPECT_EQ(ReasonOf("j", "a"), WaitReason::kNoWorker);
}

}  // namespace
}  // namespace distill::server
