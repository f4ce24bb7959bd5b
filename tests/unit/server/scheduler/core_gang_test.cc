// Gangs: all ranks of a task start together or none does, and they end together; slots are kept
// for a gang that waits, but not for ever.
#include "tests/unit/server/scheduler/core_fixture.h"

namespace distill::server {
namespace {

using storage::AttemptState;
using storage::FailureClass;
using storage::TaskState;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CoreGangTest : public CoreFixture {
 protected:
  static WorkerInfo GangWorker(const std::string& id, int slots = 1) {
    WorkerInfo info = MakeWorker(id, slots);
    info.gang_network = "eth1";
    return info;
  }
  std::vector<Grant> GrantsOf(uint64_t call) const {
    std::vector<Grant> grants;
    const absl::StatusOr<AcquireReply> reply = Answer<AcquireReply>(call);
    if (!reply.ok()) return grants;
    for (const LeaseSet& set : reply->lease_sets) {
      grants.insert(grants.end(), set.grants.begin(), set.grants.end());
    }
    return grants;
  }
  // Two workers with a slot each, that run the two ranks of j/t. Returns the leases by rank.
  std::vector<LeaseRef> RunGangOfTwo() {
    Register(GangWorker("w1"));
    Register(GangWorker("w2"));
    Submit("j", {TaskBuilder("t").Gang(2)});
    return PollBoth("1");
  }
  std::vector<LeaseRef> PollBoth(const std::string& round) {
    const uint64_t first = Poll("w1", "a" + round), second = Poll("w2", "b" + round);
    std::vector<Grant> grants = GrantsOf(first);
    for (Grant& grant : GrantsOf(second)) grants.push_back(std::move(grant));
    EXPECT_EQ(grants.size(), 2u);
    if (grants.size() != 2) return {LeaseRef(), LeaseRef()};
    EXPECT_EQ(grants[0].gang_rank, 0);
    EXPECT_EQ(grants[1].gang_rank, 1);
    EXPECT_EQ(grants[1].gang_size, 2);
    return {grants[0].lease, grants[1].lease};
  }
  absl::Status CompleteRank(const LeaseRef& lease) {
    CompleteAttempts event;
    event.worker = HolderOf(lease);
    event.items.push_back({lease, {}, {}, "stats"});
    const absl::StatusOr<ItemStatuses> reply = Call(std::move(event));
    return reply.ok() ? reply->statuses.at(0) : reply.status();
  }
  std::vector<Directive> Contact(const std::string& worker, const LeaseRef& lease,
                                 const std::string& contact, const std::string& view = "") {
    Heartbeat event;
    event.worker = WorkerId(worker);
    event.leases.push_back({lease, {}, {}, false, contact, view});
    return Call(std::move(event))->directives;
  }
};

TEST_F(CoreGangTest, StartsWhenAllSlotsAreThereAtOnce) {
  Register(GangWorker("w1"));
  Register(GangWorker("w2", 2));
  Submit("j", {TaskBuilder("t").Gang(3)});
  const uint64_t first = Poll("w1", "a");
  EXPECT_FALSE(Answered(first));
  const uint64_t second = Poll("w2", "b", 2);
  // Ranks follow each other on one machine.
  const std::vector<Grant> of_w2 = GrantsOf(second);
  ASSERT_EQ(of_w2.size(), 2u);
  EXPECT_EQ(of_w2[0].gang_rank, 0);
  EXPECT_EQ(of_w2[1].gang_rank, 1);
  ASSERT_EQ(GrantsOf(first).size(), 1u);
  EXPECT_EQ(GrantsOf(first)[0].gang_rank, 2);
  EXPECT_EQ(AttemptOf("j/t", 1).gang, AttemptOf("j/t", 3).gang);
}

TEST_F(CoreGangTest, NeedsWorkersWithAGangNetwork) {
  Register(GangWorker("w1"));
  Register(MakeWorker("w2", 8));
  EXPECT_THAT(Call(MakeJob("j", {TaskBuilder("t").Gang(2)})),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("needs 2 slots at once, all workers that fit have 1")));
  SubmitJob job = MakeJob("j", {TaskBuilder("t").Gang(2)});
  job.allow_unplaceable = true;
  Submit(std::move(job));
  const Explanation explanation = core_.Explain(JobId("j"), "t", now_).value();
  ASSERT_EQ(explanation.workers.size(), 2u);
  EXPECT_EQ(explanation.workers[1].failed, Predicate::kGangNetwork);
}

TEST_F(CoreGangTest, SaysWhatItWaitsFor) {
  Register(GangWorker("w1", 2));
  Submit("single", {TaskBuilder("s")});
  AcquireOne("w1");
  Submit("j", {TaskBuilder("t").Gang(2)});
  const Explanation explanation = core_.Explain(JobId("j"), "t", now_).value();
  EXPECT_EQ(explanation.reason, WaitReason::kGang);
  EXPECT_THAT(explanation.detail, HasSubstr("needs 2 slots at once, 1 are free"));
}

TEST_F(CoreGangTest, ResultIsThatOfTheFirstRank) {
  const std::vector<LeaseRef> leases = RunGangOfTwo();
  EXPECT_THAT(CompleteRank(leases[1]), IsOk());
  EXPECT_EQ(StateOf("j/t"), TaskState::kRunning);
  EXPECT_THAT(CompleteRank(leases[1]), IsOk());  // A repeat.
  EXPECT_THAT(Finish(leases[0]), IsOk());
  EXPECT_EQ(StateOf("j/t"), TaskState::kSucceeded);
  EXPECT_EQ(TaskOf("j/t").status.winner_attempt, 1);
  EXPECT_EQ(AttemptOf("j/t", 2).state, AttemptState::kSucceeded);
}

TEST_F(CoreGangTest, OtherRanksPublishNothing) {
  const std::vector<LeaseRef> leases = RunGangOfTwo();
  ASSERT_THAT(Upload(DigestFor("mine")), IsOk());
  EXPECT_THAT(Complete(leases[1], DigestFor("mine")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("that of rank 0")));
}

TEST_F(CoreGangTest, FirstRankMayBeDoneBeforeTheOthersSaySo) {
  const std::vector<LeaseRef> leases = RunGangOfTwo();
  EXPECT_THAT(Finish(leases[0]), IsOk());
  EXPECT_EQ(AttemptOf("j/t", 2).state, AttemptState::kSucceeded);
  EXPECT_THAT(CompleteRank(leases[1]), IsOk());
}

TEST_F(CoreGangTest, FailureOfARankEndsAll) {
  const std::vector<LeaseRef> leases = RunGangOfTwo();
  EXPECT_THAT(Fail(leases[1], FailureClass::kInfrastructure), IsOk());
  EXPECT_EQ(StateOf("j/t"), TaskState::kQueued);
  EXPECT_EQ(AttemptOf("j/t", 1).state, AttemptState::kCancelled);
  EXPECT_FALSE(AttemptOf("j/t", 1).charged);
  EXPECT_TRUE(AttemptOf("j/t", 2).charged);
  EXPECT_THAT(Beat("w1", {leases[0]}), ElementsAre(HasKind(Directive::Kind::kAbandonAttempt)));
  Pass(absl::Seconds(2));
  PollBoth("2");
  EXPECT_EQ(AttemptOf("j/t", 4).gang_rank, 1);
  EXPECT_NE(AttemptOf("j/t", 4).gang, AttemptOf("j/t", 1).gang);
}

TEST_F(CoreGangTest, ExpiryOfARankEndsAllAndNoneComesBack) {
  const std::vector<LeaseRef> leases = RunGangOfTwo();
  Advance(kTerm / 2);
  Beat("w1", {leases[0]});
  Pass(kTerm / 2);
  EXPECT_EQ(StateOf("j/t"), TaskState::kQueued);
  EXPECT_EQ(AttemptOf("j/t", 1).state, AttemptState::kCancelled);
  EXPECT_EQ(AttemptOf("j/t", 2).state, AttemptState::kExpired);
  EXPECT_THAT(Beat("w2", {leases[1]}), Contains(HasKind(Directive::Kind::kAbandonAttempt)));
}

TEST_F(CoreGangTest, CheckpointComesFromTheFirstRankAlone) {
  const std::vector<LeaseRef> leases = RunGangOfTwo();
  // The second rank is first to hand back; the gang goes on until the first does.
  EXPECT_THAT(Release(leases[1]), IsOk());
  EXPECT_EQ(StateOf("j/t"), TaskState::kRunning);
  EXPECT_THAT(Beat("w1", {leases[0]}), ElementsAre(HasKind(Directive::Kind::kPreemptAttempt)));
  ASSERT_THAT(Upload(DigestFor("checkpoint")), IsOk());
  EXPECT_THAT(Release(leases[0], {DigestFor("checkpoint"), 0, 7}), IsOk());
  EXPECT_EQ(StateOf("j/t"), TaskState::kQueued);
  EXPECT_EQ(TaskOf("j/t").status.infrastructure_failures, 0);
  const uint64_t first = Poll("w1", "a2"), second = Poll("w2", "b2");
  ASSERT_EQ(GrantsOf(second).size(), 1u);
  EXPECT_EQ(GrantsOf(first)[0].checkpoint.step, 7);
  EXPECT_EQ(GrantsOf(second)[0].checkpoint.step, 7);
}

TEST_F(CoreGangTest, PauseWantsAllRanksBack) {
  const std::vector<LeaseRef> leases = RunGangOfTwo();
  EXPECT_THAT(Call(PauseJob{JobId("j"), true}), IsOk());
  EXPECT_THAT(Beat("w1", {leases[0]}), ElementsAre(HasKind(Directive::Kind::kPreemptAttempt)));
  EXPECT_THAT(Beat("w2", {leases[1]}), ElementsAre(HasKind(Directive::Kind::kPreemptAttempt)));
}

TEST_F(CoreGangTest, CancelEndsWhenAllRanksAreBack) {
  const std::vector<LeaseRef> leases = RunGangOfTwo();
  EXPECT_THAT(Call(CancelJob{JobId("j")}), IsOk());
  EXPECT_THAT(Release(leases[0]), IsOk());
  EXPECT_EQ(StateOf("j/t"), TaskState::kRunning);
  EXPECT_THAT(Release(leases[1]), IsOk());
  EXPECT_EQ(StateOf("j/t"), TaskState::kCancelled);
}

// The rank had done its part before it heard of the cancellation.
TEST_F(CoreGangTest, CancelEndsWhenTheLastRankIsDone) {
  const std::vector<LeaseRef> leases = RunGangOfTwo();
  EXPECT_THAT(Call(CancelJob{JobId("j")}), IsOk());
  EXPECT_THAT(Release(leases[0]), IsOk());
  EXPECT_THAT(CompleteRank(leases[1]), IsOk());
  EXPECT_EQ(StateOf("j/t"), TaskState::kCancelled);
}

TEST_F(CoreGangTest, ContactsOfAllRanksGoToEach) {
  const std::vector<LeaseRef> leases = RunGangOfTwo();
  const uint64_t poll = Poll("w2", "news", 0);
  EXPECT_THAT(Contact("w2", leases[1], "second"), IsEmpty());
  EXPECT_FALSE(Answered(poll));
  const std::vector<Directive> told = Contact("w1", leases[0], "first");
  ASSERT_THAT(told, ElementsAre(HasKind(Directive::Kind::kJoinGang)));
  EXPECT_THAT(told[0].gang_contacts, ElementsAre("first", "second"));
  // The other one hears of it at once.
  const absl::StatusOr<AcquireReply> news = Answer<AcquireReply>(poll);
  ASSERT_THAT(news, IsOk());
  ASSERT_THAT(news->directives, ElementsAre(HasKind(Directive::Kind::kJoinGang)));
  EXPECT_THAT(news->directives[0].gang_contacts, ElementsAre("first", "second"));
  // Who has heard is told no more; who has not is told again.
  const std::string view = told[0].gang_view;
  EXPECT_THAT(Contact("w1", leases[0], "first", view), IsEmpty());
  EXPECT_THAT(Contact("w2", leases[1], "second"), ElementsAre(HasKind(Directive::Kind::kJoinGang)));
  EXPECT_THAT(Contact("w2", leases[1], "second", view), IsEmpty());
  // A new word is news to both.
  const std::vector<Directive> changed = Contact("w2", leases[1], "2nd", view);
  ASSERT_THAT(changed, ElementsAre(HasKind(Directive::Kind::kJoinGang)));
  EXPECT_THAT(changed[0].gang_contacts, ElementsAre("first", "2nd"));
  EXPECT_THAT(Contact("w1", leases[0], "first", view),
              ElementsAre(HasKind(Directive::Kind::kJoinGang)));
}

TEST_F(CoreGangTest, ContactsSurviveNoRestartButAreToldAgain) {
  const std::vector<LeaseRef> leases = RunGangOfTwo();
  Contact("w1", leases[0], "first");
  Restart();
  Register(GangWorker("w1"), {leases[0]});
  Register(GangWorker("w2"), {leases[1]});
  EXPECT_THAT(Contact("w2", leases[1], "second"), IsEmpty());
  EXPECT_THAT(Contact("w1", leases[0], "first"), ElementsAre(HasKind(Directive::Kind::kJoinGang)));
}

TEST_F(CoreGangTest, RestartKeepsAGangThatIsBeingHandedBack) {
  const std::vector<LeaseRef> leases = RunGangOfTwo();
  EXPECT_THAT(Release(leases[1]), IsOk());
  Restart();
  Register(GangWorker("w1"), {leases[0]});
  EXPECT_THAT(Beat("w1", {leases[0]}), Contains(HasKind(Directive::Kind::kPreemptAttempt)));
}

// Single tasks that keep coming would otherwise never leave two slots free at once.
TEST_F(CoreGangTest, SlotsAreKeptForAGangThatHasWaited) {
  Register(GangWorker("w1", 2));
  Submit("singles", {TaskBuilder("a"), TaskBuilder("b"), TaskBuilder("c"), TaskBuilder("d")});
  const std::vector<Grant> running = Acquire("w1", 2);
  ASSERT_EQ(running.size(), 2u);
  Submit("j", {TaskBuilder("t").Gang(2)});
  // Before its patience is over, others go on.
  EXPECT_THAT(Finish(running[0].lease), IsOk());
  const Grant third = AcquireOne("w1");
  Advance(TestConfig().gang_patience);
  Beat("w1", {running[1].lease, third.lease});
  EXPECT_THAT(Finish(running[1].lease), IsOk());
  EXPECT_THAT(Acquire("w1"), IsEmpty());
  EXPECT_THAT(core_.Explain(JobId("j"), "t", now_)->detail,
              HasSubstr("needs 2 slots at once, 1 are kept free for it"));
  EXPECT_THAT(core_.Explain(JobId("singles"), "d", now_)->detail, HasSubstr("kept for a gang"));
  EXPECT_THAT(Finish(third.lease), IsOk());
  EXPECT_EQ(Acquire("w1", 2).size(), 2u);
  EXPECT_EQ(StateOf("j/t"), TaskState::kRunning);
}

TEST_F(CoreGangTest, SlotsAreNotKeptForEver) {
  Register(GangWorker("w1", 2));
  Submit("long", {TaskBuilder("a")});
  const Grant running = AcquireOne("w1");
  Submit("j", {TaskBuilder("t").Gang(2)});
  Submit("singles", {TaskBuilder("b"), TaskBuilder("c")});
  const auto pass = [&](absl::Duration time) {
    for (absl::Duration gone; gone < time; gone += kTerm / 2) {
      Advance(kTerm / 2);
      Beat("w1", {running.lease});
    }
  };
  pass(TestConfig().gang_patience);
  EXPECT_THAT(Acquire("w1"), IsEmpty());
  pass(TestConfig().gang_hold);
  EXPECT_EQ(AcquireOne("w1").lease.task, "b");
}

TEST_F(CoreGangTest, HigherPriorityIsNotKeptOut) {
  Register(GangWorker("w1", 2));
  Submit("long", {TaskBuilder("a")});
  const Grant running = AcquireOne("w1");
  Submit("j", {TaskBuilder("t").Gang(2)});
  Advance(TestConfig().gang_patience);
  Beat("w1", {running.lease});
  SubmitJob urgent = MakeJob("urgent", {TaskBuilder("u")});
  urgent.job.limits.priority = 9;
  Submit(std::move(urgent));
  EXPECT_EQ(AcquireOne("w1").lease.job, JobId("urgent"));
}

// Small gangs could keep a large one waiting for ever, each with slots that it had been promised.
TEST_F(CoreGangTest, SlotsAreKeptFromOtherGangsToo) {
  Register(GangWorker("w1", 3));
  Submit("single", {TaskBuilder("a")});
  const Grant running = AcquireOne("w1");
  Submit("large", {TaskBuilder("t").Gang(3)});
  Advance(TestConfig().gang_patience);
  Beat("w1", {running.lease});
  Submit("small", {TaskBuilder("t").Gang(2)});
  EXPECT_THAT(Acquire("w1", 2), IsEmpty());
  EXPECT_THAT(core_.Explain(JobId("small"), "t", now_)->detail, HasSubstr("kept for a gang"));
  EXPECT_THAT(Finish(running.lease), IsOk());
  EXPECT_EQ(Acquire("w1", 3).size(), 3u);
  EXPECT_EQ(StateOf("large/t"), TaskState::kRunning);
}

// What it takes from others must not be lost for nothing.
TEST_F(CoreGangTest, AGangPreemptsOnlyWhileSlotsAreKeptForIt) {
  Register(GangWorker("w1", 2));
  Register(GangWorker("w2"));
  SubmitJob background = MakeJob("background", {TaskBuilder("a"), TaskBuilder("b")});
  background.job.limits.priority = 1;
  Submit(std::move(background));
  const std::vector<Grant> running = Acquire("w1", 2);
  const std::vector<LeaseRef> leases = {running[0].lease, running[1].lease};
  EXPECT_THAT(Call(DrainWorker{WorkerId("w2")}), IsOk());
  SubmitJob urgent = MakeJob("urgent", {TaskBuilder("t").Gang(3)});
  urgent.job.limits.priority = 9;
  Submit(std::move(urgent));
  for (absl::Duration gone; gone <= TestConfig().preempt_patience; gone += kTerm / 2) {
    Advance(kTerm / 2);
    EXPECT_THAT(Beat("w1", leases), IsEmpty());
    EXPECT_THAT(Acquire("w2"), IsEmpty());
  }
  // Now there are slots enough.
  EXPECT_THAT(Call(ReleaseWorker{WorkerId("w2")}), IsOk());
  EXPECT_THAT(Acquire("w2"), IsEmpty());
  EXPECT_THAT(Beat("w1", leases), ElementsAre(HasKind(Directive::Kind::kPreemptAttempt)));
}

// Each of two gangs could hold half of what both need.
TEST_F(CoreGangTest, TwoGangsDoNotBlockEachOther) {
  Register(GangWorker("w1"));
  Register(GangWorker("w2"));
  Submit("j", {TaskBuilder("t").Gang(2), TaskBuilder("u").Gang(2)});
  const std::vector<LeaseRef> first = PollBoth("1");
  EXPECT_EQ(first[0].task, first[1].task);
  EXPECT_THAT(Finish(first[0]), IsOk());
  const std::vector<LeaseRef> second = PollBoth("2");
  EXPECT_EQ(second[0].task, second[1].task);
  EXPECT_NE(second[0].task, first[0].task);
}

TEST_F(CoreGangTest, QuotaIsForAllRanks) {
  Register(GangWorker("w1", 4));
  storage::QuotaRecord quota;
  quota.project = ProjectId("default");
  quota.max_slots = 1;
  EXPECT_THAT(Call(SetQuota{quota}), IsOk());
  Submit("j", {TaskBuilder("t").Gang(2)});
  EXPECT_THAT(Acquire("w1", 4), IsEmpty());
  EXPECT_EQ(core_.Explain(JobId("j"), "t", now_)->reason, WaitReason::kQuota);
  quota.max_slots = 2;
  EXPECT_THAT(Call(SetQuota{quota}), IsOk());
  EXPECT_EQ(Acquire("w1", 4).size(), 2u);
}

TEST_F(CoreGangTest, LostGangIsNotHeldAgainstTheWorker) {
  const std::vector<LeaseRef> leases = RunGangOfTwo();
  FailAttempts lost;
  lost.worker = WorkerId("w1");
  lost.items.push_back({leases[0], FailureClass::kInfrastructure, "lost", {}, "", false, true});
  EXPECT_THAT(Call(std::move(lost))->statuses.at(0), IsOk());
  FailAttempts died;
  died.worker = WorkerId("w2");
  died.items.push_back({leases[1], FailureClass::kInfrastructure, "killed", {}, "", true});
  EXPECT_THAT(Call(std::move(died))->statuses.at(0),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  const std::vector<WorkerView> workers = core_.Workers(now_);
  ASSERT_EQ(workers.size(), 2u);
  EXPECT_EQ(workers[0].failures_in_a_row, 0);
  EXPECT_EQ(workers[1].failures_in_a_row, 1);
}

}  // namespace
}  // namespace distill::server
