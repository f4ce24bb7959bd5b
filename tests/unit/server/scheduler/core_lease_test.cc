// Leases: who may finish a task, when a worker has lost it, and what each failure costs.
#include "tests/unit/server/scheduler/core_fixture.h"

namespace distill::server {
namespace {

using storage::AttemptState;
using storage::FailureClass;
using storage::JobState;
using storage::TaskState;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CoreLeaseTest : public CoreFixture {};

TEST_F(CoreLeaseTest, GrantsAndCompletesATask) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  EXPECT_EQ(grant.lease.task, "a");
  EXPECT_EQ(grant.lease.attempt_number, 1);
  EXPECT_EQ(grant.spec, "spec of a");
  EXPECT_EQ(StateOf("j/a"), TaskState::kRunning);
  EXPECT_THAT(Finish(grant.lease), IsOk());
  EXPECT_EQ(StateOf("j/a"), TaskState::kSucceeded);
  EXPECT_EQ(TaskOf("j/a").status.winner_attempt, 1);
  EXPECT_EQ(JobStateOf("j"), JobState::kSucceeded);
  EXPECT_EQ(AttemptOf("j/a", 1).stats, "stats");
}

// A lease is lost exactly at its deadline, not a moment later: two holders must never overlap.
TEST_F(CoreLeaseTest, ExpiresExactlyAtTheDeadline) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  AcquireOne("w1");
  EXPECT_EQ(core_.NextDeadline(), now_ + kTerm);
  Pass(kTerm - absl::Nanoseconds(1));
  EXPECT_EQ(StateOf("j/a"), TaskState::kRunning);
  Pass(absl::Nanoseconds(1));
  EXPECT_EQ(StateOf("j/a"), TaskState::kQueued);
  EXPECT_EQ(AttemptOf("j/a", 1).state, AttemptState::kExpired);
}

TEST_F(CoreLeaseTest, HeartbeatRenewsForAFullTerm) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  Pass(kTerm - absl::Seconds(1));
  EXPECT_THAT(Beat("w1", {grant.lease}), IsEmpty());
  Pass(kTerm - absl::Seconds(1));
  EXPECT_EQ(StateOf("j/a"), TaskState::kRunning);
}

// A worker that went silent must not finish a task since given to another: its inputs may be stale.
TEST_F(CoreLeaseTest, RejectsCompletionFromSupersededLease) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  const Grant stale = AcquireOne("w1");
  Pass(kTerm);
  Pass(absl::Seconds(2));  // The back-off of the retry.
  Register(MakeWorker("w2"));
  const Grant fresh = AcquireOne("w2");
  EXPECT_THAT(Finish(stale.lease), StatusIs(absl::StatusCode::kFailedPrecondition,
                                            HasSubstr("superseded by attempt 2")));
  EXPECT_THAT(Beat("w1", {stale.lease}), Contains(HasKind(Directive::Kind::kAbandonAttempt)));
  EXPECT_THAT(Finish(fresh.lease), IsOk());
  EXPECT_EQ(TaskOf("j/a").status.winner_attempt, 2);
}

TEST_F(CoreLeaseTest, RejectsAForgedLeaseId) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  Grant grant = AcquireOne("w1");
  grant.lease.lease_id = LeaseId("0123");
  EXPECT_THAT(Finish(grant.lease),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("never granted")));
}

// The reply of a completion may be lost, so its repeat must be harmless; other digests are an
// alarm.
TEST_F(CoreLeaseTest, CompletionMayBeRepeatedWithTheSameDigestsOnly) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  EXPECT_THAT(Finish(grant.lease), IsOk());
  EXPECT_THAT(Finish(grant.lease), IsOk());
  EXPECT_THAT(effects_.mutations, IsEmpty());
  EXPECT_THAT(Upload(DigestFor("other")), IsOk());
  EXPECT_THAT(Complete(grant.lease, DigestFor("other")), StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(effects_.counts.nondeterminism_detected, 1);
  EXPECT_EQ(TaskOf("j/a").status.results.at(0).digest, DigestFor("result of a"));
}

TEST_F(CoreLeaseTest, CompletionNeedsAllBlobs) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  EXPECT_THAT(Complete(grant.lease, DigestFor("x")),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(DigestFor("x").str())));
  EXPECT_EQ(StateOf("j/a"), TaskState::kRunning);
  EXPECT_THAT(Upload(DigestFor("x")), IsOk());
  EXPECT_THAT(Complete(grant.lease, DigestFor("x")), IsOk());
}

TEST_F(CoreLeaseTest, CompletionNeedsExactlyTheOutputs) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  CompleteAttempts event;
  event.worker = WorkerId("w1");
  event.items.push_back({grant.lease, {{"model", DigestFor("x"), 0}}, {}, ""});
  EXPECT_THAT(Call(std::move(event))->statuses,
              ElementsAre(StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("want=out"))));
}

// Work that is done is not done again only because its report came late.
TEST_F(CoreLeaseTest, SalvagesALateCompletionWhenNobodyElseHoldsTheTask) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  Pass(kTerm);
  EXPECT_EQ(TaskOf("j/a").status.infrastructure_failures, 1);
  EXPECT_THAT(Finish(grant.lease), IsOk());
  EXPECT_EQ(effects_.counts.attempts_salvaged, 1);
  EXPECT_EQ(TaskOf("j/a").status.winner_attempt, 1);
  EXPECT_EQ(TaskOf("j/a").status.infrastructure_failures, 0);
  EXPECT_EQ(JobStateOf("j"), JobState::kSucceeded);
}

TEST_F(CoreLeaseTest, RevivesAnExpiredLeaseWhenNobodyElseHoldsTheTask) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  Pass(kTerm + absl::Seconds(5));
  EXPECT_EQ(StateOf("j/a"), TaskState::kQueued);
  EXPECT_THAT(Beat("w1", {grant.lease}), IsEmpty());
  EXPECT_EQ(StateOf("j/a"), TaskState::kRunning);
  EXPECT_EQ(TaskOf("j/a").status.infrastructure_failures, 0);
  EXPECT_THAT(Finish(grant.lease), IsOk());
}

TEST_F(CoreLeaseTest, UserFailuresSpendTheirOwnBudgetAndFailTheJob) {
  Submit("j", {TaskBuilder("a"), TaskBuilder("b"), TaskBuilder("c", {"a"})});
  Register(MakeWorker("w1"));
  for (int i = 1; i <= 3; ++i) {
    Grant grant = AcquireOne("w1");
    while (grant.lease.task != "a") {  // While "a" backs off, "b" comes first.
      EXPECT_THAT(Release(grant.lease), IsOk());
      Pass(absl::Seconds(5));
      grant = AcquireOne("w1");
    }
    EXPECT_THAT(Fail(grant.lease, FailureClass::kUser, "loss is nan at step 7"), IsOk());
    EXPECT_EQ(TaskOf("j/a").status.user_failures, i);
    Pass(absl::Seconds(5));
  }
  EXPECT_EQ(StateOf("j/a"), TaskState::kFailed);
  EXPECT_EQ(StateOf("j/b"), TaskState::kCancelled);
  EXPECT_EQ(StateOf("j/c"), TaskState::kCancelled);
  EXPECT_EQ(JobStateOf("j"), JobState::kFailed);
  EXPECT_THAT(store_.GetJob(JobId("j"))->status.failure_message,
              HasSubstr("task a failed: loss is nan at step 7"));
}

// Machines die often; that must not look like the user's fault.
TEST_F(CoreLeaseTest, InfrastructureFailuresNeverSpendTheUsersBudget) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  for (int i = 1; i <= 19; ++i) {
    const Grant grant = AcquireOne("w1");
    EXPECT_THAT(Fail(grant.lease, FailureClass::kInfrastructure), IsOk());
    Pass(absl::Minutes(2));
    Register(MakeWorker("w1"));
  }
  EXPECT_EQ(TaskOf("j/a").status.user_failures, 0);
  EXPECT_EQ(TaskOf("j/a").status.infrastructure_failures, 19);
  EXPECT_EQ(StateOf("j/a"), TaskState::kQueued);
  EXPECT_THAT(Fail(AcquireOne("w1").lease, FailureClass::kInfrastructure), IsOk());
  EXPECT_EQ(JobStateOf("j"), JobState::kFailed);
}

TEST_F(CoreLeaseTest, FailureMayBeRepeated) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  EXPECT_THAT(Fail(grant.lease, FailureClass::kUser), IsOk());
  EXPECT_THAT(Fail(grant.lease, FailureClass::kUser), IsOk());
  EXPECT_EQ(TaskOf("j/a").status.user_failures, 1);
}

TEST_F(CoreLeaseTest, BackoffDoublesUpToTheCap) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  for (int i = 1; i <= 8; ++i) {
    const Grant grant = AcquireOne("w1");
    EXPECT_THAT(Fail(grant.lease, FailureClass::kInfrastructure), IsOk());
    const absl::Duration delay = core_.NextDeadline() - now_;
    const absl::Duration nominal = std::min(absl::Seconds(1 << (i - 1)), absl::Minutes(1));
    EXPECT_GE(delay, nominal * 0.75);
    EXPECT_LE(delay, nominal * 1.25);
    EXPECT_THAT(core_.Tasks(JobId("j"), now_).at(0).waiting_reason, HasSubstr("after: it broke"));
    Pass(delay);
    Register(MakeWorker("w1"));
  }
}

TEST_F(CoreLeaseTest, ReleaseIsFreeAndKeepsTheCheckpoint) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  EXPECT_THAT(Upload(DigestFor("checkpoint")), IsOk());
  EXPECT_THAT(Release(grant.lease, {DigestFor("checkpoint"), 0, 40}), IsOk());
  EXPECT_THAT(Release(grant.lease), IsOk());  // Its reply may have been lost.
  const Grant next = AcquireOne("w1");
  EXPECT_EQ(next.lease.attempt_number, 2);
  EXPECT_EQ(next.checkpoint.step, 40);
  EXPECT_EQ(next.checkpoint.digest, DigestFor("checkpoint"));
  const storage::TaskStatus status = TaskOf("j/a").status;
  EXPECT_EQ(status.user_failures + status.infrastructure_failures, 0);
}

TEST_F(CoreLeaseTest, ALostCheckpointFallsBackToTheOneBefore) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  for (const int step : {10, 20}) {
    const Digest digest = DigestFor("checkpoint " + std::to_string(step));
    EXPECT_THAT(Upload(digest), IsOk());
    Heartbeat beat;
    beat.worker = WorkerId("w1");
    beat.leases.push_back({grant.lease, {}, {digest, 0, step}, true});
    EXPECT_THAT(Call(std::move(beat)), IsOk());
  }
  EXPECT_THAT(Call(BlobsGone{{DigestFor("checkpoint 20")}}), IsOk());
  EXPECT_THAT(Release(grant.lease), IsOk());
  EXPECT_EQ(AcquireOne("w1").checkpoint.step, 10);
}

// The reply to a grant may be lost: its repeat gets the same leases, also while the first call is
// open.
TEST_F(CoreLeaseTest, RepeatedAcquireGetsTheSameGrant) {
  Register(MakeWorker("w1", 2));
  const uint64_t first = Poll("w1", "r1");
  const uint64_t second = Poll("w1", "r1");
  EXPECT_FALSE(Answered(first) || Answered(second));
  Submit("j", {TaskBuilder("a"), TaskBuilder("b")});
  ASSERT_TRUE(Answered(first) && Answered(second));
  const LeaseId lease = Answer<AcquireReply>(first)->lease_sets.at(0).grants.at(0).lease.lease_id;
  EXPECT_EQ(Answer<AcquireReply>(second)->lease_sets.at(0).grants.at(0).lease.lease_id, lease);
  const uint64_t third = Poll("w1", "r1");
  EXPECT_EQ(Answer<AcquireReply>(third)->lease_sets.at(0).grants.at(0).lease.lease_id, lease);
  EXPECT_EQ(StateOf("j/b"), TaskState::kQueued);
}

TEST_F(CoreLeaseTest, RepeatedAcquireGetsTheSameGrantAfterARestart) {
  Submit("j", {TaskBuilder("a"), TaskBuilder("b")});
  Register(MakeWorker("w1", 2));
  const uint64_t first = Poll("w1", "r1");
  const LeaseRef lease = Answer<AcquireReply>(first)->lease_sets.at(0).grants.at(0).lease;
  Restart();
  Register(MakeWorker("w1", 2), {lease});
  const uint64_t again = Poll("w1", "r1");
  EXPECT_EQ(Answer<AcquireReply>(again)->lease_sets.at(0).grants.at(0).lease.lease_id,
            lease.lease_id);
}

TEST_F(CoreLeaseTest, AnAnsweredRequestIsGrantedNothingNew) {
  Register(MakeWorker("w1"));
  const uint64_t first = Poll("w1", "r1", 1, absl::Seconds(20));
  Pass(absl::Seconds(20));
  EXPECT_TRUE(Answered(first));
  Submit("j", {TaskBuilder("a")});
  const uint64_t late = Poll("w1", "r1");
  EXPECT_THAT(Answer<AcquireReply>(late)->lease_sets, IsEmpty());
  EXPECT_EQ(StateOf("j/a"), TaskState::kQueued);
}

TEST_F(CoreLeaseTest, AnAbandonedPollIsGrantedNothing) {
  Register(MakeWorker("w1"));
  const uint64_t poll = Poll("w1", "r1");
  EXPECT_THAT(Call(AbandonCall{poll}), IsOk());
  EXPECT_THAT(Answer<AcquireReply>(poll), StatusIs(absl::StatusCode::kCancelled));
  Submit("j", {TaskBuilder("a")});
  EXPECT_EQ(StateOf("j/a"), TaskState::kQueued);
  // The caller may come back with the same request.
  EXPECT_EQ(Answer<AcquireReply>(Poll("w1", "r1"))->lease_sets.size(), 1u);
}

TEST_F(CoreLeaseTest, ANewPollEndsTheOlderOne) {
  Register(MakeWorker("w1"));
  const uint64_t older = Poll("w1", "r1");
  const uint64_t newer = Poll("w1", "r2");
  EXPECT_TRUE(Answered(older));
  EXPECT_FALSE(Answered(newer));
}

TEST_F(CoreLeaseTest, NeverGrantsMoreSetsThanSlots) {
  Submit("j", {TaskBuilder("a"), TaskBuilder("b"), TaskBuilder("c")});
  Register(MakeWorker("w1", 2));
  EXPECT_EQ(Acquire("w1", 8).size(), 2u);
  EXPECT_THAT(Acquire("w1", 8), IsEmpty());
}

TEST_F(CoreLeaseTest, AnUnknownWorkerIsAskedToRegister) {
  const uint64_t call = Poll("stranger", "r1");
  EXPECT_THAT(Answer<AcquireReply>(call)->directives,
              ElementsAre(HasKind(Directive::Kind::kRegister)));
  EXPECT_THAT(Beat("stranger", {}), ElementsAre(HasKind(Directive::Kind::kRegister)));
}

// The server's own absence is no fault of a worker.
TEST_F(CoreLeaseTest, RestartGivesEveryLeaseAFullNewTerm) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  Advance(kTerm - absl::Seconds(1));
  Restart();
  Pass(kTerm - absl::Seconds(1));
  EXPECT_EQ(StateOf("j/a"), TaskState::kRunning);
  EXPECT_THAT(Beat("w1", {grant.lease}), ElementsAre(HasKind(Directive::Kind::kRegister)));
  EXPECT_THAT(Finish(grant.lease), IsOk());
  EXPECT_EQ(JobStateOf("j"), JobState::kSucceeded);
}

TEST_F(CoreLeaseTest, AWorkerThatComesBackWithoutItsLeaseLosesIt) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  EXPECT_THAT(Register(MakeWorker("w1"), {grant.lease}), IsEmpty());
  EXPECT_EQ(StateOf("j/a"), TaskState::kRunning);
  Register(MakeWorker("w1"));
  EXPECT_EQ(StateOf("j/a"), TaskState::kQueued);
  EXPECT_EQ(TaskOf("j/a").status.infrastructure_failures, 1);
}

TEST_F(CoreLeaseTest, DrainingWorkerGetsNoWorkAndIsToldAtOnce) {
  Register(MakeWorker("w1"));
  const uint64_t poll = Poll("w1", "r1");
  EXPECT_THAT(Call(DrainWorker{WorkerId("w1")}), IsOk());
  EXPECT_THAT(Answer<AcquireReply>(poll)->directives,
              ElementsAre(HasKind(Directive::Kind::kDrain)));
  Submit("j", {TaskBuilder("a")});
  const uint64_t next = Poll("w1", "r2");
  EXPECT_FALSE(Answered(next));
  EXPECT_EQ(core_.Tasks(JobId("j"), now_).at(0).waiting_reason,
            "all workers that fit are draining");
  EXPECT_THAT(Call(ReleaseWorker{WorkerId("w1")}), IsOk());
  EXPECT_EQ(Answer<AcquireReply>(next)->lease_sets.size(), 1u);
  EXPECT_THAT(Call(DrainWorker{WorkerId("nobody")}), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(CoreLeaseTest, DrainingOutlivesARestart) {
  Register(MakeWorker("w1"));
  EXPECT_THAT(Call(DrainWorker{WorkerId("w1")}), IsOk());
  Restart();
  EXPECT_THAT(Register(MakeWorker("w1")), Contains(HasKind(Directive::Kind::kDrain)));
}

}  // namespace
}  // namespace distill::server
