// Jobs: submission, release of dependents, one result for each key, cancellation, lost results.
#include "tests/unit/server/scheduler/core_fixture.h"

namespace distill::server {
namespace {

using storage::FailureClass;
using storage::JobState;
using storage::TaskState;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class CoreJobTest : public CoreFixture {
 protected:
  // Runs everything on one worker until nothing is granted any more; returns how many attempts that
  // took.
  int RunAll(const std::string& worker) {
    int attempts = 0;
    for (;;) {
      const std::vector<Grant> grants = Acquire(worker);
      if (grants.empty()) return attempts;
      for (const Grant& grant : grants) {
        ++attempts;
        EXPECT_THAT(Finish(grant.lease), IsOk());
      }
    }
  }
};

TEST_F(CoreJobTest, SubmittingTwiceGivesTheFirstJob) {
  const absl::StatusOr<SubmitJobReply> first = Call(MakeJob("j", {TaskBuilder("a")}));
  ASSERT_THAT(first, IsOk());
  EXPECT_FALSE(first->existed);
  SubmitJob repeat = MakeJob("other-id", {TaskBuilder("a")});
  repeat.request_id = RequestId("request-j");
  repeat.body = DigestFor("body j");
  const absl::StatusOr<SubmitJobReply> second = Call(repeat);
  ASSERT_THAT(second, IsOk());
  EXPECT_TRUE(second->existed);
  EXPECT_EQ(second->job, JobId("j"));
  Restart();
  EXPECT_EQ(Call(repeat)->job, JobId("j"));
  repeat.body = DigestFor("something else");
  EXPECT_THAT(Call(repeat), StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("request-j")));
}

TEST_F(CoreJobTest, RefusesGraphsThatCannotRun) {
  EXPECT_THAT(Call(MakeJob("j", {})), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Call(MakeJob("j", {TaskBuilder("a", {"b"}), TaskBuilder("b", {"a"})})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("waits for itself")));
  EXPECT_THAT(Call(MakeJob("j", {TaskBuilder("a", {"ghost"})})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("ghost")));
  EXPECT_THAT(Call(MakeJob("j", {TaskBuilder("a"), TaskBuilder("a")})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("one name")));
  EXPECT_THAT(Call(MakeJob("j", {TaskBuilder("a").Given(DigestFor("gone"))})),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("upload it first")));
  EXPECT_THAT(store_.Load()->jobs, IsEmpty());
}

// The trigger of an assembly is no timer and no handler: it fires in the transaction of the last
// input.
TEST_F(CoreJobTest, ReleasesDependentsInTheTransactionOfTheLastInput) {
  Submit("j", {TaskBuilder("a"), TaskBuilder("b"), TaskBuilder("assemble", {"a", "b"})});
  Register(MakeWorker("w1", 2));
  const std::vector<Grant> grants = Acquire("w1", 2);
  ASSERT_THAT(grants, SizeIs(2));
  EXPECT_THAT(Finish(grants[0].lease), IsOk());
  EXPECT_EQ(StateOf("j/assemble"), TaskState::kBlocked);
  EXPECT_EQ(core_.Tasks(JobId("j"), now_).back().waiting_reason, "waits for b");
  EXPECT_THAT(Finish(grants[1].lease), IsOk());
  EXPECT_EQ(StateOf("j/assemble"), TaskState::kQueued);
  const Grant assemble = AcquireOne("w1");
  ASSERT_THAT(assemble.inputs, SizeIs(2));
  EXPECT_EQ(assemble.inputs[1].name, "from-b");
  EXPECT_EQ(assemble.inputs[1].digest, DigestFor("result of b"));
  EXPECT_EQ(assemble.inputs[1].size_bytes, 100);
  EXPECT_THAT(Finish(assemble.lease), IsOk());
  const auto lineage = store_.Lineage(DigestFor("result of assemble"));
  ASSERT_THAT(*lineage, SizeIs(1));
  EXPECT_THAT(lineage->at(0).inputs,
              ElementsAre(DigestFor("result of a"), DigestFor("result of b")));
}

TEST_F(CoreJobTest, EventsAreCompleteAndInOrder) {
  Submit("j", {TaskBuilder("a"), TaskBuilder("b", {"a"})});
  Register(MakeWorker("w1"));
  RunAll("w1");
  std::vector<std::string> seen;
  int64_t last = 0;
  const auto events = store_.EventsAfter(JobId("j"), 0, 1000);
  for (const storage::EventRecord& event : *events) {
    EXPECT_GT(event.revision, last);
    last = event.revision;
    seen.push_back(event.task.empty() ? std::string(storage::Name(event.job_state))
                                      : event.task + " " + storage::Name(event.task_state));
  }
  EXPECT_THAT(
      seen, ElementsAre("RUNNING", "a BLOCKED", "b BLOCKED", "a QUEUED", "a RUNNING", "a SUCCEEDED",
                        "b QUEUED", "b RUNNING", "b SUCCEEDED", "SUCCEEDED"));
}

TEST_F(CoreJobTest, ReusesResultsOfEqualTasksOfTheProject) {
  const std::vector<TaskBuilder> tasks = {TaskBuilder("a").Key("a"),
                                          TaskBuilder("b", {"a"}).Key("b")};
  Submit("j1", tasks);
  Register(MakeWorker("w1"));
  EXPECT_EQ(RunAll("w1"), 2);
  Submit("j2", tasks);
  EXPECT_EQ(JobStateOf("j2"), JobState::kSucceeded);
  EXPECT_EQ(TaskOf("j2/b").status.reused_from, TaskId("j1/b"));
  EXPECT_EQ(TaskOf("j2/b").status.results, TaskOf("j1/b").status.results);
  EXPECT_EQ(store_.CountTasks(JobId("j2"))->reused, 2);
  SubmitJob elsewhere = MakeJob("j3", tasks);
  elsewhere.job.project = ProjectId("other");
  Submit(std::move(elsewhere));
  EXPECT_EQ(StateOf("j3/a"), TaskState::kQueued);
}

TEST_F(CoreJobTest, AResultWhoseBlobIsGoneIsNoHit) {
  Submit("j1", {TaskBuilder("a").Key("a")});
  Register(MakeWorker("w1"));
  RunAll("w1");
  EXPECT_THAT(Call(BlobsGone{{DigestFor("result of a")}}), IsOk());
  Submit("j2", {TaskBuilder("a").Key("a")});
  EXPECT_EQ(StateOf("j2/a"), TaskState::kQueued);
  EXPECT_EQ(RunAll("w1"), 1);
}

TEST_F(CoreJobTest, EqualTasksShareOneExecution) {
  for (const char* job : {"j1", "j2", "j3"}) Submit(job, {TaskBuilder("a").Key("a")});
  Register(MakeWorker("w1", 3));
  const std::vector<Grant> grants = Acquire("w1", 3);
  ASSERT_THAT(grants, SizeIs(1));
  EXPECT_EQ(core_.Tasks(JobId("j2"), now_).at(0).waiting_reason, "waits for the equal task j1/a");
  EXPECT_THAT(Finish(grants[0].lease), IsOk());
  EXPECT_EQ(TaskOf("j2/a").status.reused_from, TaskId("j1/a"));
  EXPECT_EQ(JobStateOf("j3"), JobState::kSucceeded);
}

TEST_F(CoreJobTest, AFollowerTakesOverWhenTheLeaderIsCancelled) {
  Submit("j1", {TaskBuilder("a").Key("a")});
  Submit("j2", {TaskBuilder("a").Key("a")});
  Register(MakeWorker("w1"));
  const Grant leader = AcquireOne("w1");
  EXPECT_THAT(Upload(DigestFor("checkpoint")), IsOk());
  EXPECT_THAT(Call(CancelJob{JobId("j1")}), IsOk());
  EXPECT_THAT(Release(leader.lease, {DigestFor("checkpoint"), 0, 7}), IsOk());
  EXPECT_EQ(JobStateOf("j1"), JobState::kCancelled);
  const Grant heir = AcquireOne("w1");
  EXPECT_EQ(heir.lease.job, JobId("j2"));
  EXPECT_EQ(heir.checkpoint.step, 7);  // Equal keys, equal bits: it goes on.
  EXPECT_THAT(Finish(heir.lease), IsOk());
}

TEST_F(CoreJobTest, AFollowerTakesOverWhenTheLeaderFails) {
  SubmitJob first = MakeJob("j1", {TaskBuilder("a").Key("a")});
  first.job.limits.max_user_failures = 1;
  Submit(std::move(first));
  Submit("j2", {TaskBuilder("a").Key("a")});
  Register(MakeWorker("w1"));
  EXPECT_THAT(Fail(AcquireOne("w1").lease, FailureClass::kUser), IsOk());
  EXPECT_EQ(JobStateOf("j1"), JobState::kFailed);
  EXPECT_EQ(RunAll("w1"), 1);
  EXPECT_EQ(JobStateOf("j2"), JobState::kSucceeded);
}

TEST_F(CoreJobTest, RolesSurviveARestart) {
  Submit("j1", {TaskBuilder("a").Key("a")});
  Submit("j2", {TaskBuilder("a").Key("a")});
  Register(MakeWorker("w1"));
  const Grant leader = AcquireOne("w1");
  Restart();
  EXPECT_THAT(core_.Tasks(JobId("j2"), now_).at(0).waiting_reason, HasSubstr("j1/a"));
  EXPECT_THAT(Finish(leader.lease), IsOk());
  EXPECT_EQ(JobStateOf("j2"), JobState::kSucceeded);
}

TEST_F(CoreJobTest, CancelEndsQueuedTasksAtOnceAndStopsLeasedOnes) {
  Submit("j", {TaskBuilder("a"), TaskBuilder("b"), TaskBuilder("c", {"a"})});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  const uint64_t poll = Poll("w1", "r1");
  EXPECT_THAT(Call(CancelJob{JobId("j")}), IsOk());
  EXPECT_EQ(StateOf("j/b"), TaskState::kCancelled);
  EXPECT_EQ(StateOf("j/c"), TaskState::kCancelled);
  EXPECT_EQ(JobStateOf("j"), JobState::kCancelling);
  EXPECT_THAT(Answer<AcquireReply>(poll)->directives,
              ElementsAre(HasKind(Directive::Kind::kStopAttempt)));
  // Told once over the long poll, so that it does not spin; repeated by each heartbeat.
  EXPECT_FALSE(Answered(Poll("w1", "r2")));
  EXPECT_THAT(Beat("w1", {grant.lease}), ElementsAre(HasKind(Directive::Kind::kStopAttempt)));
  EXPECT_THAT(Release(grant.lease), IsOk());
  EXPECT_EQ(JobStateOf("j"), JobState::kCancelled);
  EXPECT_EQ(AttemptOf("j/a", 1).state, storage::AttemptState::kCancelled);
  EXPECT_THAT(Call(CancelJob{JobId("j")}), IsOk());  // Idempotent.
  EXPECT_THAT(Call(CancelJob{JobId("ghost")}), StatusIs(absl::StatusCode::kNotFound));
}

// A late repeat of a cancel must not be taken for another request's, nor refused as outdated.
TEST_F(CoreJobTest, CancelRemembersItsRequest) {
  Submit("j", {TaskBuilder("a")});
  Submit("k", {TaskBuilder("a")});
  const int64_t revision = store_.GetJob(JobId("j"))->status.revision;
  EXPECT_THAT(Call(CancelJob{JobId("j"), RequestId("c"), revision + 1}),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(Call(CancelJob{JobId("j"), RequestId("c"), revision}), IsOk());
  EXPECT_THAT(Call(CancelJob{JobId("j"), RequestId("c"), revision}), IsOk());
  EXPECT_THAT(Call(CancelJob{JobId("k"), RequestId("c")}),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("request_id")));
  EXPECT_THAT(Call(CancelJob{JobId("k"), RequestId("request-k")}),
              StatusIs(absl::StatusCode::kAlreadyExists));
  Restart();
  EXPECT_THAT(Call(CancelJob{JobId("k"), RequestId("c")}),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_EQ(JobStateOf("k"), JobState::kRunning);
}

TEST_F(CoreJobTest, CancelEndsWhenTheLeaseExpires) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  AcquireOne("w1");
  EXPECT_THAT(Call(CancelJob{JobId("j")}), IsOk());
  Pass(kTerm);
  EXPECT_EQ(JobStateOf("j"), JobState::kCancelled);
}

TEST_F(CoreJobTest, CancelOfAQueuedJobIsImmediate) {
  Submit("j", {TaskBuilder("a"), TaskBuilder("b", {"a"})});
  EXPECT_THAT(Call(CancelJob{JobId("j")}), IsOk());
  EXPECT_EQ(JobStateOf("j"), JobState::kCancelled);
}

TEST_F(CoreJobTest, AFailedTaskStopsTheRestBeforeTheJobIsOver) {
  SubmitJob job = MakeJob("j", {TaskBuilder("a"), TaskBuilder("b")});
  job.job.limits.max_user_failures = 1;
  Submit(std::move(job));
  Register(MakeWorker("w1", 2));
  const std::vector<Grant> grants = Acquire("w1", 2);
  ASSERT_THAT(grants, SizeIs(2));
  EXPECT_THAT(Fail(grants[0].lease, FailureClass::kUser), IsOk());
  EXPECT_EQ(JobStateOf("j"), JobState::kRunning);
  EXPECT_THAT(store_.GetJob(JobId("j"))->status.failure_message, HasSubstr("task a failed"));
  EXPECT_THAT(Beat("w1", {grants[1].lease}), ElementsAre(HasKind(Directive::Kind::kStopAttempt)));
  // What is done is kept, though the job fails.
  EXPECT_THAT(Finish(grants[1].lease), IsOk());
  EXPECT_EQ(StateOf("j/b"), TaskState::kSucceeded);
  EXPECT_EQ(JobStateOf("j"), JobState::kFailed);
}

// The feature that users of other build systems beg for: a lost blob costs one more run, not the
// job.
TEST_F(CoreJobTest, MakesALostResultAgain) {
  Submit("j", {TaskBuilder("a"), TaskBuilder("b", {"a"}), TaskBuilder("c", {"b"})});
  Register(MakeWorker("w1"));
  EXPECT_THAT(Finish(AcquireOne("w1").lease), IsOk());
  EXPECT_THAT(Finish(AcquireOne("w1").lease), IsOk());
  EXPECT_EQ(StateOf("j/c"), TaskState::kQueued);
  // Both are lost; to make b's again, a's is needed again.
  EXPECT_THAT(Call(BlobsGone{{DigestFor("result of a"), DigestFor("result of b")}}), IsOk());
  EXPECT_EQ(StateOf("j/a"), TaskState::kQueued);
  EXPECT_EQ(StateOf("j/b"), TaskState::kBlocked);
  EXPECT_EQ(StateOf("j/c"), TaskState::kBlocked);
  Restart();
  Register(MakeWorker("w1"));
  EXPECT_EQ(RunAll("w1"), 3);
  EXPECT_EQ(JobStateOf("j"), JobState::kSucceeded);
}

// Found by the simulation, seed 40719: the follower waited for a task that waited for it.
TEST_F(CoreJobTest, AFollowerTakesOverWhenTheLeaderLosesAnInput) {
  Submit("j1", {TaskBuilder("a"), TaskBuilder("b", {"a"}).Key("b")});
  Register(MakeWorker("w1"));
  EXPECT_THAT(Finish(AcquireOne("w1").lease), IsOk());
  Submit("j2", {TaskBuilder("b").Key("b")});
  EXPECT_EQ(core_.Tasks(JobId("j2"), now_).at(0).waiting_reason, "waits for the equal task j1/b");
  EXPECT_THAT(Call(BlobsGone{{DigestFor("result of a")}}), IsOk());
  EXPECT_EQ(StateOf("j1/b"), TaskState::kBlocked);
  EXPECT_EQ(RunAll("w1"), 2);  // j1/a again, and j2/b, which serves j1/b.
  EXPECT_EQ(JobStateOf("j1"), JobState::kSucceeded);
  EXPECT_EQ(JobStateOf("j2"), JobState::kSucceeded);
}

TEST_F(CoreJobTest, ALostInputOfARunningTaskBlocksItsRetry) {
  Submit("j", {TaskBuilder("a"), TaskBuilder("b", {"a"})});
  Register(MakeWorker("w1"));
  EXPECT_THAT(Finish(AcquireOne("w1").lease), IsOk());
  const Grant grant = AcquireOne("w1");
  EXPECT_THAT(Call(BlobsGone{{DigestFor("result of a")}}), IsOk());
  EXPECT_EQ(StateOf("j/b"), TaskState::kRunning);
  EXPECT_THAT(Fail(grant.lease, FailureClass::kInfrastructure, "input is missing"), IsOk());
  EXPECT_EQ(StateOf("j/b"), TaskState::kBlocked);
  EXPECT_EQ(RunAll("w1"), 2);
  EXPECT_EQ(JobStateOf("j"), JobState::kSucceeded);
}

TEST_F(CoreJobTest, ReportsAreKeptWithTheFinishedJob) {
  Submit("j", {TaskBuilder("a")});
  Register(MakeWorker("w1"));
  const Grant grant = AcquireOne("w1");
  EXPECT_THAT(Upload(DigestFor("report")), IsOk());
  const AttachJobArtifacts attach{JobId("j"), {{"report.json", DigestFor("report"), 100}}};
  EXPECT_THAT(Call(attach), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(Finish(grant.lease), IsOk());
  EXPECT_THAT(Call(attach), IsOk());
  EXPECT_THAT(Call(attach), IsOk());
  EXPECT_THAT(store_.GetJob(JobId("j"))->status.artifacts, SizeIs(1));
}

TEST_F(CoreJobTest, OldestJobGoesFirst) {
  Submit("j1", {TaskBuilder("a"), TaskBuilder("b")});
  Submit("j2", {TaskBuilder("a")});
  Register(MakeWorker("w1", 3));
  const std::vector<Grant> grants = Acquire("w1", 3);
  ASSERT_THAT(grants, SizeIs(3));
  EXPECT_EQ(grants[0].lease.job, JobId("j1"));
  EXPECT_EQ(grants[1].lease.task, "b");
  EXPECT_EQ(grants[2].lease.job, JobId("j2"));
}

TEST_F(CoreJobTest, WaitingReasonsNameTheMissingClass) {
  Submit("j", {TaskBuilder("a").NumericClass("cuda-sm90")});
  EXPECT_EQ(core_.Tasks(JobId("j"), now_).at(0).waiting_reason, "no worker is connected");
  Register(MakeWorker("w1"));
  EXPECT_THAT(Acquire("w1"), IsEmpty());
  EXPECT_THAT(core_.Tasks(JobId("j"), now_).at(0).waiting_reason, HasSubstr("cuda-sm90"));
}

TEST_F(CoreJobTest, CommonNumericClassIsTheBestThatAllShare) {
  EXPECT_EQ(core_.CommonNumericClass("cpu", now_), "");
  Register(MakeWorker("w1"));
  EXPECT_EQ(core_.CommonNumericClass("cpu", now_), "cpu-x86-avx512");
  WorkerInfo old = MakeWorker("w2");
  old.numeric_classes = {"cpu-x86-avx2"};
  Register(old);
  EXPECT_EQ(core_.CommonNumericClass("cpu", now_), "cpu-x86-avx2");
}

}  // namespace
}  // namespace distill::server
