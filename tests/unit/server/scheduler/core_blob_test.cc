// Retention: what is kept, what is marked, and what comes back to life.
#include "tests/unit/server/scheduler/core_fixture.h"

namespace distill::server {
namespace {

using storage::BlobState;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class CoreBlobTest : public CoreFixture {
 protected:
  static constexpr absl::Duration kGrace = absl::Hours(1);

  CollectGarbageReply Collect(int64_t max_blob_bytes = 0,
                              absl::Duration job_retention = absl::Hours(24 * 30)) {
    return Call(CollectGarbage{job_retention, kGrace, max_blob_bytes}).value();
  }
  BlobState StateOfBlob(const Digest& digest) const { return store_.GetBlob(digest)->state; }
  void FinishJob(const std::string& id) {
    Submit(id, {TaskBuilder("a").Key("key of " + id)});
    Register(MakeWorker("w1"));
    const Grant grant = AcquireOne("w1");
    const Digest digest = DigestFor("result of " + id);
    EXPECT_THAT(Upload(digest), IsOk());
    EXPECT_THAT(Complete(grant.lease, digest), IsOk());
  }
};

TEST_F(CoreBlobTest, UnreferencedBlobsGoInTwoStepsWithAGraceEach) {
  const Digest orphan = DigestFor("orphan");
  EXPECT_THAT(Upload(orphan), IsOk());
  Advance(kGrace - absl::Seconds(1));
  EXPECT_EQ(Collect().blobs_marked, 0);
  Advance(absl::Seconds(1));
  EXPECT_EQ(Collect().blobs_marked, 1);
  EXPECT_EQ(StateOfBlob(orphan), BlobState::kDeleting);
  EXPECT_THAT(effects_.unlinks, IsEmpty());
  Advance(kGrace);
  Collect();
  EXPECT_THAT(effects_.unlinks, ElementsAre(orphan));
  EXPECT_EQ(StateOfBlob(orphan), BlobState::kUnlinking);
  EXPECT_THAT(Upload(orphan), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(Call(FindMissing{{orphan}})->busy, ElementsAre(orphan));
  EXPECT_THAT(Call(BlobsGone{{orphan}}), IsOk());
  EXPECT_THAT(Call(FindMissing{{orphan}})->missing, ElementsAre(orphan));
  EXPECT_THAT(store_.GetBlob(orphan), StatusIs(absl::StatusCode::kNotFound));
}

// Found by the simulation, seed 64271: until the next round of retention nobody could upload that
// blob.
TEST_F(CoreBlobTest, ARestartFinishesRemovals) {
  EXPECT_THAT(Upload(DigestFor("orphan")), IsOk());
  for (int i = 0; i < 2; ++i) {
    Advance(kGrace);
    Collect();
  }
  Restart();
  EXPECT_LE(core_.NextDeadline(), now_);
  Tell(Tick{});
  EXPECT_THAT(effects_.unlinks, ElementsAre(DigestFor("orphan")));
}

// Whoever asks for a blob may rely on the answer for a grace period.
TEST_F(CoreBlobTest, AMarkedBlobComesBackToLifeWhenAskedFor) {
  const Digest digest = DigestFor("orphan");
  EXPECT_THAT(Upload(digest), IsOk());
  Advance(kGrace);
  Collect();
  EXPECT_THAT(Call(FindMissing{{digest}})->missing, IsEmpty());
  EXPECT_EQ(StateOfBlob(digest), BlobState::kPresent);
  Advance(kGrace - absl::Seconds(1));
  EXPECT_EQ(Collect().blobs_marked, 0);
}

// Checkpoints are large, and soon nobody wants them.
TEST_F(CoreBlobTest, CheckpointsHaveAGraceOfTheirOwn) {
  constexpr int32_t kCheckpointType = 4;
  const Digest checkpoint = DigestFor("checkpoint");
  const Digest result = DigestFor("result");
  EXPECT_THAT(Call(BlobPresent{checkpoint, 100, kCheckpointType}), IsOk());
  EXPECT_THAT(Call(BlobPresent{result, 10, 1}), IsOk());
  CollectGarbage collect{absl::Hours(24), kGrace, 0};
  collect.checkpoint_grace = absl::Minutes(5);
  Advance(absl::Minutes(5));
  EXPECT_EQ(Call(collect)->blobs_marked, 1);
  EXPECT_EQ(StateOfBlob(checkpoint), BlobState::kDeleting);
  EXPECT_EQ(StateOfBlob(result), BlobState::kPresent);
  Advance(absl::Minutes(5));
  EXPECT_EQ(Call(collect)->bytes_unlinked, 100);
  EXPECT_THAT(effects_.unlinks, ElementsAre(checkpoint));
}

TEST_F(CoreBlobTest, LogsMayGoBeforeTheirJob) {
  constexpr int32_t kLogType = 5;
  const Digest log = DigestFor("log");
  const Digest result = DigestFor("result");
  EXPECT_THAT(Call(BlobPresent{log, 10, kLogType}), IsOk());
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  EXPECT_THAT(Upload(result), IsOk());
  CompleteAttempts complete;
  complete.worker = WorkerId("w1");
  complete.items.push_back({grant.lease, {{"out", result, 0}}, {{"log", log, 0}}, ""});
  EXPECT_THAT(Call(complete), IsOk());
  CollectGarbage collect{absl::Hours(24 * 30), kGrace, 0};
  collect.log_retention = absl::Hours(24);
  Advance(absl::Hours(24) - absl::Seconds(1));
  EXPECT_EQ(Call(collect)->blobs_marked, 0);
  Advance(absl::Seconds(1));
  EXPECT_EQ(Call(collect)->blobs_marked, 1);
  EXPECT_EQ(StateOfBlob(log), BlobState::kDeleting);
  EXPECT_EQ(StateOfBlob(result), BlobState::kPresent);
}

TEST_F(CoreBlobTest, TotalsFollowTheBlobs) {
  const auto bytes = [this](BlobClass blob_class) {
    return core_.blob_totals()[static_cast<size_t>(blob_class)].bytes;
  };
  EXPECT_THAT(Call(BlobPresent{DigestFor("checkpoint"), 100, 4}), IsOk());
  EXPECT_THAT(Call(BlobPresent{DigestFor("log"), 10, 5}), IsOk());
  EXPECT_THAT(Call(BlobPresent{DigestFor("log"), 10, 5}), IsOk());
  EXPECT_THAT(Call(BlobPresent{DigestFor("model"), 1, 1}), IsOk());
  Restart();
  EXPECT_EQ(bytes(BlobClass::kCheckpoint), 100);
  EXPECT_EQ(bytes(BlobClass::kLog), 10);
  EXPECT_EQ(bytes(BlobClass::kResult), 1);
  EXPECT_THAT(Call(BlobsGone{{DigestFor("checkpoint"), DigestFor("absent")}}), IsOk());
  EXPECT_EQ(bytes(BlobClass::kCheckpoint), 0);
  EXPECT_EQ(core_.blob_totals()[0].count, 1);
}

TEST_F(CoreBlobTest, ResultsLiveAsLongAsTheirJob) {
  FinishJob("j");
  Advance(absl::Hours(24));
  EXPECT_EQ(Collect().blobs_marked, 0);
  Advance(absl::Hours(24 * 30));
  const CollectGarbageReply reply = Collect();
  EXPECT_EQ(reply.jobs_deleted, 1);
  EXPECT_EQ(reply.blobs_marked, 1);
  EXPECT_THAT(store_.GetJob(JobId("j")), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(CoreBlobTest, TheOldestFinishedJobsGoFirstWhenTheDiskIsFull) {
  FinishJob("j1");
  Advance(absl::Seconds(1));
  FinishJob("j2");
  Submit("j3", {TaskBuilder("a")});
  EXPECT_EQ(Collect(/*max_blob_bytes=*/150).jobs_deleted, 1);
  EXPECT_THAT(store_.GetJob(JobId("j1")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_.GetJob(JobId("j2")), IsOk());
  EXPECT_EQ(Collect(/*max_blob_bytes=*/1).jobs_deleted, 1);
  EXPECT_THAT(store_.GetJob(JobId("j3")), IsOk());  // Running jobs stay.
}

TEST_F(CoreBlobTest, AResultOutlivesItsJobWhileItsBlobsDo) {
  FinishJob("j1");
  Advance(absl::Hours(1));
  Collect(0, absl::Minutes(1));
  EXPECT_EQ(StateOfBlob(DigestFor("result of j1")), BlobState::kDeleting);
  Submit("j2", {TaskBuilder("a").Key("key of j1")});
  EXPECT_EQ(JobStateOf("j2"), storage::JobState::kSucceeded);
  EXPECT_EQ(StateOfBlob(DigestFor("result of j1")), BlobState::kPresent);
}

TEST_F(CoreBlobTest, CheckpointsAreKeptOnlyWhileTheyServe) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  EXPECT_THAT(Upload(DigestFor("checkpoint")), IsOk());
  EXPECT_THAT(Release(grant.lease, {DigestFor("checkpoint"), 0, 3}), IsOk());
  Advance(kGrace);
  Register(MakeWorker("w1"));
  EXPECT_EQ(Collect().blobs_marked, 0);
  EXPECT_THAT(Finish(AcquireOne("w1").lease), IsOk());
  Advance(kGrace);
  EXPECT_EQ(Collect().blobs_marked, 1);
}

TEST_F(CoreBlobTest, GraceStartsAnewAtARestart) {
  EXPECT_THAT(Upload(DigestFor("orphan")), IsOk());
  Advance(kGrace);
  Restart();
  EXPECT_EQ(Collect().blobs_marked, 0);
}

}  // namespace
}  // namespace distill::server
