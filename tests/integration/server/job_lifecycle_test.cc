// The life of a job over real gRPC, SQLite and blob store, with a scripted worker.
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server/server_fixture.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Two modules and one baseline.
constexpr int kTasks = 20;

class JobLifecycleTest : public ServerTest {
 protected:
  v1::Job MustCreate(const v1::JobSpec& spec, const std::string& request_id) {
    const absl::StatusOr<v1::Job> job = Create(spec, request_id);
    EXPECT_THAT(job, IsOk());
    return job.ok() ? *job : v1::Job();
  }

  v1::Report GetReport(const std::string& job) {
    v1::GetReportRequest request;
    request.set_job(job);
    v1::Report report;
    EXPECT_THAT(FromGrpcStatus(jobs_->GetReport(MakeContext().get(), request, &report)), IsOk());
    return report;
  }

  // The report is stored soon after the job has ended.
  v1::Report AwaitStoredReport(const std::string& job) {
    v1::Report report = GetReport(job);
    while (report.json_digest().empty() && !HasFailure()) report = GetReport(job);
    return report;
  }

  std::vector<v1::Task> ListTasks(const std::string& job) {
    v1::ListTasksRequest request;
    request.set_job(job);
    request.set_page_size(7);
    std::vector<v1::Task> tasks;
    do {
      v1::ListTasksResponse response;
      EXPECT_THAT(FromGrpcStatus(tasks_->ListTasks(MakeContext().get(), request, &response)),
                  IsOk());
      tasks.insert(tasks.end(), response.tasks().begin(), response.tasks().end());
      request.set_page_token(response.next_page_token());
    } while (!request.page_token().empty());
    return tasks;
  }
};

TEST_F(JobLifecycleTest, AScriptedWorkerTakesAJobToItsReport) {
  const v1::Job job = MustCreate(SmallSpec(), "r1");
  EXPECT_EQ(job.state(), v1::JOB_STATE_RUNNING);
  EXPECT_EQ(job.name(), absl::StrCat("projects/default/jobs/", job.id()));
  EXPECT_EQ(job.tasks_total(), kTasks);
  EXPECT_EQ(job.spec().dataset().train_size(), 40);
  EXPECT_EQ(job.spec().dataset().classes(), 10);

  ScriptedWorker worker(*workers_, *artifacts_, "w1");
  worker.Register();
  worker.CompleteTasks(kTasks);

  const absl::StatusOr<v1::Job> done = GetJob(job.id());
  ASSERT_THAT(done, IsOk());
  EXPECT_EQ(done->state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(done->tasks_succeeded(), kTasks);
  EXPECT_TRUE(done->has_finish_time());

  const v1::Report report = AwaitStoredReport(job.id());
  EXPECT_THAT(report.models(), SizeIs(9));
  EXPECT_EQ(report.models(0).label(), "meta");
  EXPECT_EQ(report.models(0).result().accuracy(), 0.75);
  EXPECT_THAT(report.markdown(), AllOf(HasSubstr("| student | 1,234 | 75.00 % | 50.00 % |"),
                                       HasSubstr("student minus baseline B1")));
  const absl::StatusOr<std::string> json = Download(report.json_digest());
  ASSERT_THAT(json, IsOk());
  EXPECT_THAT(*json, HasSubstr("\"model_digest\": \"sha256:"));
  EXPECT_THAT(Download(report.markdown_digest()), IsOk());
}

TEST_F(JobLifecycleTest, TasksLogsAndSeriesCanBeRead) {
  const v1::Job job = MustCreate(SmallSpec(), "r1");
  ScriptedWorker worker(*workers_, *artifacts_, "w1");
  worker.Register();
  worker.CompleteTasks(1);
  const std::vector<v1::Task> tasks = ListTasks(job.id());
  ASSERT_THAT(tasks, SizeIs(kTasks));
  std::string finished;
  for (const v1::Task& task : tasks) {
    if (task.state() == v1::TASK_STATE_SUCCEEDED) finished = task.id();
    EXPECT_TRUE(absl::StartsWith(task.key(), "sha256:"));
  }
  ASSERT_FALSE(finished.empty());

  v1::GetTaskRequest get;
  get.set_job(job.id());
  get.set_task(finished);
  v1::Task task;
  ASSERT_THAT(FromGrpcStatus(tasks_->GetTask(MakeContext().get(), get, &task)), IsOk());
  ASSERT_THAT(task.attempts(), SizeIs(1));
  EXPECT_EQ(task.attempts(0).worker(), "w1");
  EXPECT_EQ(task.attempts(0).stats().images_seen(), 40);
  ASSERT_THAT(task.results(), SizeIs(1));

  v1::ReadLogRequest read_log;
  read_log.set_job(job.id());
  read_log.set_task(finished);
  const auto context = MakeContext();
  const auto reader = tasks_->ReadLog(context.get(), read_log);
  v1::ReadLogResponse chunk;
  ASSERT_TRUE(reader->Read(&chunk));
  EXPECT_EQ(chunk.data(), absl::StrCat("log of ", finished, "\n"));
  EXPECT_FALSE(reader->Read(&chunk));
  EXPECT_THAT(FromGrpcStatus(reader->Finish()), IsOk());

  v1::ReadSeriesRequest read_series;
  read_series.set_job(job.id());
  read_series.set_task(finished);
  v1::ReadSeriesResponse series;
  ASSERT_THAT(FromGrpcStatus(tasks_->ReadSeries(MakeContext().get(), read_series, &series)),
              IsOk());
  EXPECT_THAT(series.series().points(), SizeIs(1));

  v1::GetArtifactRequest get_artifact;
  get_artifact.set_digest(task.results(0).digest());
  v1::Artifact artifact;
  ASSERT_THAT(FromGrpcStatus(artifacts_->GetArtifact(MakeContext().get(), get_artifact, &artifact)),
              IsOk());
  ASSERT_THAT(artifact.lineage(), SizeIs(1));
  EXPECT_EQ(artifact.lineage(0).task(), finished);
  EXPECT_EQ(artifact.lineage(0).attempt(), 1);
}

TEST_F(JobLifecycleTest, EqualJobsShareTheirResults) {
  const v1::Job first = MustCreate(SmallSpec(), "r1");
  ScriptedWorker worker(*workers_, *artifacts_, "w1");
  worker.Register();
  worker.CompleteTasks(kTasks);
  v1::JobSpec spec = SmallSpec();
  spec.set_display_name("again");
  const v1::Job second = MustCreate(spec, "r2");
  EXPECT_NE(first.id(), second.id());
  const std::vector<v1::JobEvent> events = WatchToEnd(second.id(), 0);
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events.back().job().state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(events.back().job().tasks_reused(), kTasks);
}

TEST_F(JobLifecycleTest, SubmittingTwiceGivesOneJob) {
  const v1::Job first = MustCreate(SmallSpec(), "same");
  const v1::Job second = MustCreate(SmallSpec(), "same");
  EXPECT_EQ(first.id(), second.id());
  EXPECT_THAT(ListJobs(), SizeIs(1));
}

// A caller whose answer was lost asks again, and by then the files may be gone.
TEST_F(JobLifecycleTest, ARepeatIsAnsweredEvenWhenTheDataSetVanished) {
  const v1::Job first = MustCreate(SmallSpec(), "r1");
  ASSERT_THAT(RemoveTree(DatasetDir()), IsOk());
  const v1::Job again = MustCreate(SmallSpec(), "r1");
  EXPECT_EQ(again.id(), first.id());
  EXPECT_THAT(Create(SmallSpec(), "r2"), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(JobLifecycleTest, ARequestIdMayNotBeUsedForAnotherSpec) {
  MustCreate(SmallSpec(), "same");
  v1::JobSpec other = SmallSpec();
  other.set_seed(1);
  EXPECT_THAT(Create(other, "same"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("request_id")));
  EXPECT_THAT(ListJobs(), SizeIs(1));
}

TEST_F(JobLifecycleTest, ValidateOnlyStoresNothing) {
  v1::CreateJobRequest request;
  *request.mutable_spec() = SmallSpec();
  request.set_validate_only(true);
  v1::Job job;
  ASSERT_THAT(FromGrpcStatus(jobs_->CreateJob(MakeContext().get(), request, &job)), IsOk());
  EXPECT_EQ(job.id(), "");
  EXPECT_EQ(job.tasks_total(), kTasks);
  EXPECT_TRUE(job.spec().dataset().has_digest());
  EXPECT_THAT(ListJobs(), IsEmpty());
}

TEST_F(JobLifecycleTest, JobsAreListedNewestFirstPageByPage) {
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) {
    v1::JobSpec spec = SmallSpec();
    spec.set_seed(static_cast<uint64_t>(i));
    ids.insert(ids.begin(), MustCreate(spec, absl::StrCat("r", i)).id());
  }
  std::vector<std::string> listed;
  for (const v1::Job& job : ListJobs()) listed.push_back(job.id());
  EXPECT_EQ(listed, ids);
}

TEST_F(JobLifecycleTest, TheDefaultClassIsThatOfTheLiveWorkers) {
  ScriptedWorker worker(*workers_, *artifacts_, "w1");
  worker.Register();
  v1::JobSpec spec = SmallSpec();
  spec.mutable_execution()->clear_numeric_class();
  EXPECT_EQ(MustCreate(spec, "r1").spec().execution().numeric_class(), "cpu-test");
}

TEST_F(JobLifecycleTest, WatchGivesEachChangeOnceAndResumesWithoutAGap) {
  const v1::Job job = MustCreate(SmallSpec(), "r1");
  // Watches from the start while the work goes on.
  v1::WatchJobRequest request;
  request.set_job(job.id());
  const auto context = MakeContext();
  const auto reader = jobs_->WatchJob(context.get(), request);
  ScriptedWorker worker(*workers_, *artifacts_, "w1");
  worker.Register();
  worker.CompleteTasks(kTasks);
  std::vector<int64_t> revisions;
  v1::JobEvent event;
  while (reader->Read(&event)) {
    if (event.revision() > 0) revisions.push_back(event.revision());
  }
  EXPECT_THAT(FromGrpcStatus(reader->Finish()), IsOk());
  ASSERT_GT(revisions.size(), static_cast<size_t>(2 * kTasks));
  EXPECT_EQ(std::set<int64_t>(revisions.begin(), revisions.end()).size(), revisions.size());
  EXPECT_TRUE(std::is_sorted(revisions.begin(), revisions.end()));
  EXPECT_EQ(event.job().state(), v1::JOB_STATE_SUCCEEDED);

  for (const size_t cut : {size_t{1}, revisions.size() / 2, revisions.size() - 1}) {
    std::vector<int64_t> rest;
    for (const v1::JobEvent& e : WatchToEnd(job.id(), revisions[cut - 1])) {
      rest.push_back(e.revision());
    }
    EXPECT_EQ(rest, std::vector<int64_t>(revisions.begin() + static_cast<ptrdiff_t>(cut),
                                         revisions.end()));
  }
  EXPECT_THAT(WatchToEnd(job.id(), revisions.back()), IsEmpty());
}

// Without them a watcher could not say how long a task took.
TEST_F(JobLifecycleTest, WatchTellsWhenTasksStartedAndFinished) {
  const v1::Job job = MustCreate(SmallSpec(), "r1");
  ScriptedWorker worker(*workers_, *artifacts_, "w1");
  worker.Register();
  worker.CompleteTasks(kTasks);
  int started = 0;
  int finished = 0;
  for (const v1::JobEvent& event : WatchToEnd(job.id(), 0)) {
    EXPECT_EQ(event.task().has_start_time(), event.task().state() == v1::TASK_STATE_RUNNING);
    EXPECT_EQ(event.task().has_finish_time(), event.task().state() == v1::TASK_STATE_SUCCEEDED);
    started += event.task().has_start_time() ? 1 : 0;
    finished += event.task().has_finish_time() ? 1 : 0;
  }
  EXPECT_EQ(started, kTasks);
  EXPECT_EQ(finished, kTasks);
}

TEST_F(JobLifecycleTest, WatchingAnUnknownJobIsAnError) {
  v1::WatchJobRequest request;
  request.set_job("job-none");
  const auto context = MakeContext();
  const auto reader = jobs_->WatchJob(context.get(), request);
  v1::JobEvent event;
  EXPECT_FALSE(reader->Read(&event));
  EXPECT_THAT(FromGrpcStatus(reader->Finish()), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(JobLifecycleTest, CancellingAWaitingJobEndsItAtOnce) {
  const v1::Job job = MustCreate(SmallSpec(), "r1");
  v1::CancelJobRequest request;
  request.set_job(job.id());
  v1::Job cancelled;
  ASSERT_THAT(FromGrpcStatus(jobs_->CancelJob(MakeContext().get(), request, &cancelled)), IsOk());
  EXPECT_EQ(cancelled.state(), v1::JOB_STATE_CANCELLED);
  ASSERT_THAT(FromGrpcStatus(jobs_->CancelJob(MakeContext().get(), request, &cancelled)), IsOk());
  EXPECT_EQ(WatchToEnd(job.id(), 0).back().job().state(), v1::JOB_STATE_CANCELLED);
}

TEST_F(JobLifecycleTest, CancellingARunningJobReachesTheWorker) {
  const v1::Job job = MustCreate(SmallSpec(), "r1");
  ScriptedWorker worker(*workers_, *artifacts_, "w1");
  worker.Register();
  const v1::AcquireTasksResponse acquired = worker.Acquire(1, 10);
  ASSERT_EQ(acquired.lease_sets_size(), 1);
  const v1::LeaseRef lease = acquired.lease_sets(0).grants(0).lease();

  v1::CancelJobRequest request;
  request.set_job(job.id());
  v1::Job cancelled;
  ASSERT_THAT(FromGrpcStatus(jobs_->CancelJob(MakeContext().get(), request, &cancelled)), IsOk());
  EXPECT_EQ(cancelled.state(), v1::JOB_STATE_CANCELLING);
  const v1::HeartbeatResponse heartbeat = worker.Heartbeat({lease});
  ASSERT_EQ(heartbeat.directives_size(), 1);
  EXPECT_EQ(heartbeat.directives(0).kind(), v1::Directive::KIND_STOP_ATTEMPT);
  EXPECT_EQ(heartbeat.directives(0).lease().lease_id(), lease.lease_id());
  EXPECT_EQ(worker.Release(lease).code(), 0);
  EXPECT_EQ(GetJob(job.id())->state(), v1::JOB_STATE_CANCELLED);
}

TEST_F(JobLifecycleTest, LeasesSurviveARestartOfTheServer) {
  const v1::Job job = MustCreate(SmallSpec(), "r1");
  ScriptedWorker before(*workers_, *artifacts_, "w1");
  before.Register();
  const v1::AcquireTasksResponse acquired = before.Acquire(1, 10);
  ASSERT_EQ(acquired.lease_sets_size(), 1);
  const v1::Grant grant = acquired.lease_sets(0).grants(0);

  StopServer();
  StartServer();
  ScriptedWorker after(*workers_, *artifacts_, "w1");
  after.Register({grant.lease()});
  EXPECT_THAT(after.Heartbeat({grant.lease()}).directives(), IsEmpty());
  EXPECT_EQ(after.Complete(grant).code(), 0);
  // A repeat, as after a lost reply.
  EXPECT_EQ(after.Complete(grant).code(), 0);
  after.CompleteTasks(kTasks - 1);
  EXPECT_EQ(GetJob(job.id())->state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_FALSE(AwaitStoredReport(job.id()).json_digest().empty());
}

TEST_F(JobLifecycleTest, CompletingWithoutUploadedBlobsIsRefused) {
  MustCreate(SmallSpec(), "r1");
  ScriptedWorker worker(*workers_, *artifacts_, "w1");
  worker.Register();
  const v1::Grant grant = worker.Acquire(1, 10).lease_sets(0).grants(0);
  v1::CompleteAttemptsRequest::Item item;
  *item.mutable_lease() = grant.lease();
  v1::ArtifactRef& ref = *item.add_results();
  ref.set_name(grant.spec().outputs(0));
  ref.set_digest(Digest::OfBytes("never uploaded").str());
  EXPECT_EQ(worker.CompleteItem(item).code(),
            static_cast<int>(absl::StatusCode::kFailedPrecondition));
}

TEST_F(JobLifecycleTest, WorkersAreListedAndDrained) {
  ScriptedWorker worker(*workers_, *artifacts_, "w1");
  worker.Register();
  v1::ListWorkersResponse listed;
  ASSERT_THAT(FromGrpcStatus(fleet_->ListWorkers(MakeContext().get(), {}, &listed)), IsOk());
  ASSERT_THAT(listed.workers(), SizeIs(1));
  EXPECT_EQ(listed.workers(0).state(), v1::WORKER_STATE_READY);

  v1::DrainWorkerRequest drain;
  drain.set_worker_id("w1");
  v1::Worker drained;
  ASSERT_THAT(FromGrpcStatus(fleet_->DrainWorker(MakeContext().get(), drain, &drained)), IsOk());
  EXPECT_EQ(drained.state(), v1::WORKER_STATE_DRAINING);
  MustCreate(SmallSpec(), "r1");
  const v1::AcquireTasksResponse acquired = worker.Acquire(1, 0);
  EXPECT_THAT(acquired.lease_sets(), IsEmpty());
  ASSERT_GT(acquired.directives_size(), 0);
  EXPECT_EQ(acquired.directives(0).kind(), v1::Directive::KIND_DRAIN);

  v1::ResumeWorkerRequest resume;
  resume.set_worker_id("w1");
  ASSERT_THAT(FromGrpcStatus(fleet_->ResumeWorker(MakeContext().get(), resume, &drained)), IsOk());
  EXPECT_EQ(worker.Acquire(1, 10).lease_sets_size(), 1);
}

}  // namespace
}  // namespace distill::server
