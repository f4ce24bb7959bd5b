// The books: what device time went into, what reuse saved, what was lost and why; and results that
// are looked at and evicted.
#include "base/error_details.h"
#include "base/error_reasons.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/server/scheduler/core_fixture.h"

namespace distill::server {
namespace {

using storage::FailureClass;
using storage::LedgerEntry;
using storage::TaskState;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class CoreLedgerTest : public CoreFixture {
 protected:
  // Of all kinds; the same before and after a restart.
  LedgerLine LineOf(const LedgerView& view, LedgerEntry entry) const {
    const auto account = view.accounts.find("DISTILL_MODULE");
    if (account == view.accounts.end()) return LedgerLine();
    const auto line = account->second.lines.find(entry);
    return line == account->second.lines.end() ? LedgerLine() : line->second;
  }
  absl::Duration JobTime(const std::string& job, LedgerEntry entry) const {
    return LineOf(core_.JobLedger(JobId(job), now_).value(), entry).device_time;
  }
  int64_t JobCount(const std::string& job, LedgerEntry entry) const {
    return LineOf(core_.JobLedger(JobId(job), now_).value(), entry).count;
  }
  LedgerLine ProjectLine(LedgerEntry entry) const {
    const std::vector<LedgerView> views = core_.ProjectLedgers(now_);
    return views.empty() ? LedgerLine() : LineOf(views.front(), entry);
  }
  absl::Duration Running(const std::string& job) const {
    return core_.JobLedger(JobId(job), now_)->accounts.at("DISTILL_MODULE").running;
  }
  // Runs the only task that is ready for so long.
  void RunOne(const std::string& worker, absl::Duration time) {
    const Grant grant = AcquireOne(worker);
    Pass(time);
    EXPECT_THAT(Finish(grant.lease), IsOk());
  }
  KeyView Key(const std::string& key) const {
    return core_.FindKey(ProjectId("default"), DigestFor("key " + key));
  }
  absl::StatusOr<EvictResultReply> Evict(const std::string& key) {
    return Call(EvictResult{ProjectId("default"), DigestFor("key " + key)});
  }
};

TEST_F(CoreLedgerTest, AnAttemptCostsWhatItsSlotWasLeasedFor) {
  Submit("j", {TaskBuilder("a"), TaskBuilder("b", {"a"})});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  Pass(absl::Seconds(7));
  EXPECT_EQ(Running("j"), absl::Seconds(7));
  EXPECT_EQ(JobTime("j", LedgerEntry::kSpent), absl::ZeroDuration());
  EXPECT_THAT(Finish(grant.lease), IsOk());
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Running("j"), absl::ZeroDuration());
    EXPECT_EQ(JobTime("j", LedgerEntry::kSpent), absl::Seconds(7));
    EXPECT_EQ(JobCount("j", LedgerEntry::kSpent), 1);
    EXPECT_EQ(ProjectLine(LedgerEntry::kSpent).device_time, absl::Seconds(7));
    EXPECT_EQ(TaskOf("j/a").status.device_time, absl::Seconds(7));
    EXPECT_EQ(AttemptOf("j/a", 1).device_time, absl::Seconds(7));
    Restart();
  }
  EXPECT_THAT(core_.JobLedger(JobId("ghost"), now_), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(CoreLedgerTest, TheTasksOfABundleShareTheirSlot) {
  Submit("j", {TaskBuilder("a").Group("g"), TaskBuilder("b").Group("g")});
  Register(MakeWorker("w1"));
  const std::vector<Grant> bundle = Acquire("w1");
  ASSERT_THAT(bundle, SizeIs(2));
  Pass(absl::Seconds(10));
  EXPECT_THAT(Finish(bundle[0].lease), IsOk());
  Pass(absl::Seconds(4));
  EXPECT_THAT(Finish(bundle[1].lease), IsOk());
  EXPECT_EQ(AttemptOf("j/a", 1).device_time, absl::Seconds(5));
  EXPECT_EQ(AttemptOf("j/b", 1).device_time, absl::Seconds(9));
  EXPECT_EQ(JobTime("j", LedgerEntry::kSpent), absl::Seconds(14));
}

TEST_F(CoreLedgerTest, AFailureLosesWhatWasDoneSinceTheLastCheckpoint) {
  Submit("j", {TaskBuilder("a").Key("a")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  Pass(absl::Seconds(10));
  EXPECT_THAT(Upload(DigestFor("checkpoint")), IsOk());
  Heartbeat beat;
  beat.worker = WorkerId("w1");
  beat.leases.push_back({grant.lease, {}, {DigestFor("checkpoint"), 0, 3}, true});
  EXPECT_THAT(Call(beat), IsOk());
  Pass(absl::Seconds(5));
  EXPECT_THAT(Call(beat), IsOk());  // No news: nothing more is kept.
  EXPECT_THAT(Fail(grant.lease, FailureClass::kInfrastructure), IsOk());
  EXPECT_EQ(JobTime("j", LedgerEntry::kSpent), absl::Seconds(15));
  EXPECT_EQ(JobTime("j", LedgerEntry::kLostInfrastructure), absl::Seconds(5));
  EXPECT_EQ(AttemptOf("j/a", 1).lost_time, absl::Seconds(5));
  Pass(absl::Seconds(2));
  RunOne("w1", absl::Seconds(4));
  EXPECT_EQ(TaskOf("j/a").status.device_time, absl::Seconds(14));
  EXPECT_EQ(Key("a").result->device_time, absl::Seconds(14));
  EXPECT_EQ(JobTime("j", LedgerEntry::kSpent), absl::Seconds(19));
}

TEST_F(CoreLedgerTest, ALateResultTakesTheLossBack) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  Pass(kTerm);
  EXPECT_EQ(JobTime("j", LedgerEntry::kLostInfrastructure), kTerm);
  EXPECT_THAT(Finish(grant.lease), IsOk());
  EXPECT_EQ(JobTime("j", LedgerEntry::kLostInfrastructure), absl::ZeroDuration());
  EXPECT_EQ(JobCount("j", LedgerEntry::kLostInfrastructure), 0);
  EXPECT_EQ(JobTime("j", LedgerEntry::kSpent), kTerm);
  EXPECT_EQ(TaskOf("j/a").status.device_time, kTerm);
}

TEST_F(CoreLedgerTest, ALeaseThatIsRevivedGoesOnWithItsTime) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  Pass(kTerm);
  Pass(absl::Seconds(100));  // Nobody's: the slot was free as far as the server knew.
  EXPECT_THAT(Beat("w1", {grant.lease}), IsEmpty());
  EXPECT_EQ(JobTime("j", LedgerEntry::kLostInfrastructure), absl::ZeroDuration());
  Pass(absl::Seconds(6));
  EXPECT_EQ(Running("j"), absl::Seconds(6));
  EXPECT_THAT(Fail(grant.lease, FailureClass::kUser), IsOk());
  EXPECT_EQ(JobTime("j", LedgerEntry::kSpent), kTerm + absl::Seconds(6));
  EXPECT_EQ(JobCount("j", LedgerEntry::kSpent), 1);
  EXPECT_EQ(JobTime("j", LedgerEntry::kLostUser), kTerm + absl::Seconds(6));
}

TEST_F(CoreLedgerTest, ReuseSavesWhatTheResultHadCostAlsoWhenItsMakerIsForgotten) {
  Submit("j1", {TaskBuilder("a").Key("a")});
  Submit("j2", {TaskBuilder("a").Key("a")});
  Register(MakeWorker("w1"));
  RunOne("w1", absl::Seconds(20));
  EXPECT_EQ(JobCount("j1", LedgerEntry::kMissed), 1);
  EXPECT_EQ(JobCount("j2", LedgerEntry::kMerged), 1);
  EXPECT_EQ(JobTime("j2", LedgerEntry::kSaved), absl::Seconds(20));
  EXPECT_THAT(Call(DeleteJob{JobId("j1")}), IsOk());
  EXPECT_THAT(Call(DeleteJob{JobId("j2")}), IsOk());
  Restart();
  Submit("j3", {TaskBuilder("a").Key("a")});
  EXPECT_EQ(JobTime("j3", LedgerEntry::kSaved), absl::Seconds(20));
  EXPECT_EQ(JobTime("j3", LedgerEntry::kSpent), absl::ZeroDuration());
  EXPECT_EQ(ProjectLine(LedgerEntry::kSaved).count, 2);
  EXPECT_EQ(ProjectLine(LedgerEntry::kSaved).device_time, absl::Seconds(40));
  EXPECT_EQ(ProjectLine(LedgerEntry::kSpent).device_time, absl::Seconds(20));
  const std::vector<CacheRow> rows = core_.CacheRows();
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0].kind, "DISTILL_MODULE");
  EXPECT_EQ(rows[0].entries, 1);
  EXPECT_EQ(rows[0].bytes, 100);
}

TEST_F(CoreLedgerTest, ALostResultLosesItsTimeAndAHitOfItSavesNothing) {
  const std::vector<TaskBuilder> tasks = {TaskBuilder("a").Key("a"), TaskBuilder("b", {"a"})};
  Submit("j1", tasks);
  Register(MakeWorker("w1"));
  RunOne("w1", absl::Seconds(8));
  Submit("j2", tasks);
  EXPECT_EQ(JobTime("j2", LedgerEntry::kSaved), absl::Seconds(8));
  EXPECT_THAT(Call(BlobsGone{{DigestFor("result of a")}}), IsOk());
  EXPECT_EQ(JobTime("j1", LedgerEntry::kLostResult), absl::Seconds(8));
  EXPECT_EQ(AttemptOf("j1/a", 1).lost_time, absl::Seconds(8));
  EXPECT_EQ(JobTime("j2", LedgerEntry::kSaved), absl::ZeroDuration());
  RunOne("w1", absl::Seconds(3));  // One of the two, for both.
  EXPECT_EQ(TaskOf("j1/a").status.device_time, absl::Seconds(3));
  EXPECT_EQ(JobTime("j2", LedgerEntry::kSaved), absl::Seconds(3));
}

TEST_F(CoreLedgerTest, WhatExpiredMayComeBackAfterTheResultWasLost) {
  Submit("j", {TaskBuilder("a"), TaskBuilder("b", {"a"})});
  Register(MakeWorker("w1"));
  const Grant late = AcquireOne("w1");
  Pass(absl::Seconds(5));
  EXPECT_THAT(Upload(DigestFor("checkpoint")), IsOk());
  Heartbeat beat;
  beat.worker = WorkerId("w1");
  beat.leases.push_back({late.lease, {}, {DigestFor("checkpoint"), 0, 3}, true});
  EXPECT_THAT(Call(beat), IsOk());
  Pass(kTerm);  // It expires, and has lost what came after the checkpoint.
  EXPECT_EQ(JobTime("j", LedgerEntry::kLostInfrastructure), kTerm);
  Pass(absl::Seconds(2));
  Register(MakeWorker("w2"));
  RunOne("w2", absl::Seconds(4));
  EXPECT_THAT(Call(BlobsGone{{DigestFor("result of a")}}), IsOk());
  EXPECT_EQ(JobTime("j", LedgerEntry::kLostResult), absl::Seconds(4));
  EXPECT_EQ(JobTime("j", LedgerEntry::kLostInfrastructure), absl::Seconds(5) + kTerm);
  EXPECT_THAT(Finish(late.lease), IsOk());
  EXPECT_EQ(JobTime("j", LedgerEntry::kLostInfrastructure), absl::ZeroDuration());
  EXPECT_EQ(TaskOf("j/a").status.device_time, absl::Seconds(5) + kTerm);
}

TEST_F(CoreLedgerTest, CancelledWorkIsLostToTheCancellation) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  Pass(absl::Seconds(9));
  EXPECT_THAT(Call(CancelJob{JobId("j")}), IsOk());
  EXPECT_THAT(Release(grant.lease), IsOk());
  EXPECT_EQ(JobTime("j", LedgerEntry::kLostCancelled), absl::Seconds(9));
  EXPECT_EQ(JobTime("j", LedgerEntry::kSpent), absl::Seconds(9));
}

TEST_F(CoreLedgerTest, WhatRanDuringARestartOfTheServerIsCounted) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  Pass(absl::Seconds(5));
  Advance(absl::Seconds(10));
  Restart();
  Pass(absl::Seconds(2));
  EXPECT_THAT(Finish(grant.lease), IsOk());
  EXPECT_EQ(JobTime("j", LedgerEntry::kSpent), absl::Seconds(17));
}

TEST_F(CoreLedgerTest, AnEvictedResultIsMadeAgain) {
  Submit("j1", {TaskBuilder("a").Key("a")});
  Register(MakeWorker("w1"));
  RunOne("w1", absl::Seconds(8));
  EXPECT_TRUE(Evict("a")->existed);
  EXPECT_FALSE(Evict("a")->existed);
  EXPECT_FALSE(Key("a").result.has_value());
  Restart();
  Register(MakeWorker("w1"));
  Submit("j2", {TaskBuilder("a").Key("a")});
  EXPECT_EQ(StateOf("j2/a"), TaskState::kQueued);
  EXPECT_FALSE(Evict("a")->existed);  // It runs; there is nothing to evict yet.
  RunOne("w1", absl::Seconds(1));
  EXPECT_EQ(Key("a").result->task, TaskId("j2/a"));
}

TEST_F(CoreLedgerTest, AResultIsPinnedWhileAJobThatUsesItIsNotOver) {
  const std::vector<TaskBuilder> tasks = {TaskBuilder("a").Key("a"), TaskBuilder("b", {"a"})};
  Submit("j1", tasks);
  Submit("j2", tasks);
  Register(MakeWorker("w1"));
  RunOne("w1", absl::Seconds(8));
  const KeyView view = Key("a");
  EXPECT_TRUE(view.usable);
  EXPECT_THAT(view.pinned_by, ElementsAre(JobId("j1"), JobId("j2")));
  ASSERT_THAT(view.users, SizeIs(2));
  EXPECT_EQ(view.users[0].task, TaskId("j2/a"));
  EXPECT_EQ(view.users[0].reused_from, TaskId("j1/a"));
  const absl::Status refused = Evict("a").status();
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("job=j1 jobs=2")));
  EXPECT_EQ(ReasonOf(refused), reason::kResultPinned);
  EXPECT_THAT(DetailsOf(refused).preconditions, SizeIs(2));
  RunOne("w1", absl::Seconds(1));
  RunOne("w1", absl::Seconds(1));
  EXPECT_THAT(Key("a").pinned_by, IsEmpty());
  EXPECT_TRUE(Evict("a")->existed);
}

// Retention may be about to remove the blobs: the transaction of the hit holds them.
TEST_F(CoreLedgerTest, AHitHoldsTheBlobsOfTheResult) {
  Submit("j1", {TaskBuilder("a").Key("a")});
  Register(MakeWorker("w1"));
  RunOne("w1", absl::Seconds(1));
  EXPECT_THAT(Call(DeleteJob{JobId("j1")}), IsOk());
  const CollectGarbage collect{absl::Hours(1), absl::Seconds(1), 0};
  Pass(absl::Seconds(1));
  EXPECT_EQ(Call(collect)->blobs_marked, 1);
  const Digest blob = DigestFor("result of a");
  EXPECT_EQ(store_.GetBlob(blob)->state, storage::BlobState::kDeleting);
  Submit("j2", {TaskBuilder("a").Key("a")});
  EXPECT_EQ(TaskOf("j2/a").status.reused_from, TaskId("j1/a"));
  EXPECT_EQ(store_.GetBlob(blob)->state, storage::BlobState::kPresent);
  Pass(absl::Minutes(1));
  EXPECT_EQ(Call(collect)->blobs_marked, 0);
  // Once its removal was asked for it does not come back: the task runs.
  EXPECT_THAT(Call(DeleteJob{JobId("j2")}), IsOk());
  EXPECT_THAT(Call(collect), IsOk());
  Pass(absl::Seconds(1));
  EXPECT_THAT(Call(collect), IsOk());
  EXPECT_EQ(store_.GetBlob(blob)->state, storage::BlobState::kUnlinking);
  Submit("j3", {TaskBuilder("a").Key("a")});
  EXPECT_EQ(StateOf("j3/a"), TaskState::kQueued);
}

TEST_F(CoreLedgerTest, OnlyResultsThatAreWholeAreTaken) {
  Submit("j1", {TaskBuilder("a").Key("a")});
  Register(MakeWorker("w1"));
  RunOne("w1", absl::Seconds(8));
  const std::vector<Digest> keys = {DigestFor("key a"), DigestFor("key b")};
  EXPECT_THAT(core_.ResultsOf(ProjectId("default"), keys), SizeIs(1));
  EXPECT_THAT(core_.ResultsOf(ProjectId("other"), keys), IsEmpty());
  EXPECT_THAT(Call(BlobsGone{{DigestFor("result of a")}}), IsOk());
  EXPECT_FALSE(Key("a").usable);
  EXPECT_THAT(core_.ResultsOf(ProjectId("default"), keys), IsEmpty());
}

}  // namespace
}  // namespace distill::server
