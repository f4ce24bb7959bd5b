// What every state store promises, run on each of them.
#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/state/memory_state_store.h"
#include "storage/state/sqlite_state_store.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#ifdef DISTILL_WITH_POSTGRES
#include "base/clock.h"
#include "storage/state/postgres_leadership.h"
#include "tests/support/postgres/postgres_server.h"
#endif

namespace distill::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

struct Backend {
  std::string name;
  std::function<std::unique_ptr<StateStore>(const TempDir&)> open;
};
std::ostream& operator<<(std::ostream& out, const Backend& backend) { return out << backend.name; }

Digest DigestFor(const std::string& name) { return Digest::OfBytes(name); }
absl::Time At(int64_t micros) { return absl::FromUnixMicros(1700000000000000 + micros); }

JobRecord FullJob(const std::string& id, int64_t age) {
  JobRecord job;
  job.id = JobId(id);
  job.project = ProjectId("default");
  job.display_name = "a job with \t tabs, \n lines and ünïcode";
  job.spec = std::string("\0binary\xff", 8);
  job.limits = {5, 6, 7, 8};
  job.create_time = At(age);
  job.create_revision = age;
  job.status.revision = age;
  job.datasets = {DatasetName("fashion"), DatasetName("tiny-imagenet-r")};
  job.traceparent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
  return job;
}

TaskRecord FullTask(const std::string& job, const std::string& name, int32_t index) {
  TaskRecord task;
  task.job = JobId(job);
  task.id = MakeTaskId(task.job, name);
  TaskDefinition& definition = task.definition;
  definition.name = name;
  definition.index = index;
  definition.kind = "DISTILL_MODULE";
  definition.spec = std::string("\0spec", 5);
  definition.key = DigestFor("key");
  definition.bundle_group = "distill";
  definition.numeric_class = "cpu-x86-avx2";
  definition.device_kind = "cpu";
  definition.memory_bytes = int64_t{3} << 40;
  definition.labels = {"disk=fast", "zone=a b"};
  definition.min_driver = "535.104";
  definition.inputs = {{"meta", "pretrain-meta", "model", Digest()},
                       {"stage", "", "", DigestFor("given")}};
  definition.outputs = {"module", "extra"};
  return task;
}

TaskStatus FullStatus() {
  TaskStatus status;
  status.state = TaskState::kSucceeded;
  status.attempts = 4;
  status.user_failures = 1;
  status.infrastructure_failures = 2;
  status.resource_failures = 3;
  status.poison_failures = 4;
  status.solo = true;
  status.winner_attempt = 4;
  status.results = {{"module", DigestFor("m"), 10}, {"extra", DigestFor("e"), 11}};
  status.observations = {{"log", DigestFor("l"), 12}};
  status.checkpoint = {DigestFor("c"), 13, 14};
  status.previous_checkpoint = {DigestFor("p"), 15, 16};
  status.reused_from = TaskId("other/task");
  status.device_time = absl::Hours(20'000) + absl::Microseconds(1);
  status.failure_message = "it's \"quoted\"";
  status.start_time = At(1);
  status.finish_time = At(2);
  status.revision = 99;
  return status;
}

AttemptRecord FullAttempt(const TaskId& task, int32_t number) {
  AttemptRecord attempt;
  attempt.task = task;
  attempt.number = number;
  attempt.lease_id = LeaseId("lease-" + std::to_string(number));
  attempt.worker = WorkerId("w1");
  attempt.acquire_request = RequestId("r1");
  attempt.lease_set = "set";
  attempt.lease_set_size = 3;
  attempt.gang = "gang-1";
  attempt.gang_rank = 2;
  attempt.gang_size = 4;
  attempt.state = AttemptState::kFailed;
  attempt.failure_class = FailureClass::kResource;
  attempt.charged = true;
  attempt.message = "out of memory";
  attempt.start_time = At(3);
  attempt.finish_time = At(4);
  attempt.stats = std::string("\0stats", 6);
  attempt.observations = {{"log", DigestFor("log"), 5}};
  attempt.device_time = absl::Microseconds(1234567);
  attempt.lost_time = absl::Microseconds(234567);
  return attempt;
}

DatasetRecord FullDataset(const std::string& name) {
  DatasetRecord dataset;
  dataset.name = DatasetName(name);
  dataset.project = ProjectId("vision");
  dataset.request = RequestId("r-" + name);
  dataset.body = DigestFor("body");
  dataset.source = std::string("\0source", 7);
  dataset.create_time = At(6);
  dataset.status.state = DatasetState::kReady;
  dataset.status.failure_message = "none, \t yet";
  dataset.status.facts = std::string("\0facts\xff", 7);
  dataset.status.verification = std::string("\0same", 5);
  dataset.status.blobs = {{"manifest", DigestFor("m"), 10}, {"shard-00000", DigestFor("s"), 11}};
  dataset.status.finish_time = At(7);
  return dataset;
}

EventRecord FullEvent(const std::string& job, int64_t revision) {
  EventRecord event;
  event.revision = revision;
  event.job = JobId(job);
  event.task = "t";
  event.job_state = JobState::kCancelling;
  event.task_state = TaskState::kRunning;
  event.attempt = 2;
  event.worker = WorkerId("w1");
  event.reused_from = TaskId("a/b");
  event.message = "why";
  event.time = At(revision);
  event.counts = {4, 3, 2, 1};
  return event;
}

class StateStoreTest : public ::testing::TestWithParam<Backend> {
 protected:
  StateStoreTest() : store_(GetParam().open(dir_)) {}
  void Apply(const std::vector<Mutation>& mutations) {
    ASSERT_THAT(store_->Commit(mutations), IsOk());
  }

  TempDir dir_;
  std::unique_ptr<StateStore> store_;
};

TEST_P(StateStoreTest, StartsEmpty) {
  const absl::StatusOr<StateImage> image = store_->Load();
  ASSERT_THAT(image, IsOk());
  EXPECT_EQ(image->last_revision, 0);
  EXPECT_THAT(image->jobs, IsEmpty());
  EXPECT_THAT(store_->GetJob(JobId("j")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->GetTask(TaskId("j/t")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->GetBlob(DigestFor("b")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->CountTasks(JobId("j")), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(StateStoreTest, KeepsEveryField) {
  const JobRecord job = FullJob("j", 1);
  const TaskRecord task = FullTask("j", "t", 0);
  const AttemptRecord attempt = FullAttempt(task.id, 1);
  const BlobRecord blob{DigestFor("b"), int64_t{5} << 33, 3, BlobState::kDeleting, At(9)};
  const ResultRecord result{
      job.project,      DigestFor("key"),      task.id, {{"out", DigestFor("b"), 1}},
      "DISTILL_MODULE", absl::Microseconds(7), At(8)};
  const RequestRecord request{job.project, RequestId("r"), DigestFor("body"), job.id};
  const WorkerRecord worker{WorkerId("w1"), true, At(6), Quarantine::kAutomatic, "five failures"};
  const QuotaRecord quota{ProjectId("default"), 2, 3, 4, int64_t{5} << 40, 6};
  const LineageRecord lineage{DigestFor("b"), task.id, 1, "out", {DigestFor("x"), DigestFor("y")}};
  Apply({InsertJob{job}, PutRequest{request}, InsertTask{task}, PutAttempt{attempt}, PutBlob{blob},
         PutResult{result}, PutWorker{worker}, PutQuota{quota}, PutLineage{lineage},
         AppendEvent{FullEvent("j", 7)}});
  EXPECT_THAT(store_->GetJob(job.id), IsOkAndHolds(job));
  EXPECT_THAT(store_->GetTask(task.id), IsOkAndHolds(task));
  EXPECT_THAT(store_->ListAttempts(task.id), IsOkAndHolds(ElementsAre(attempt)));
  EXPECT_THAT(store_->GetBlob(blob.digest), IsOkAndHolds(blob));
  EXPECT_THAT(store_->Lineage(blob.digest), IsOkAndHolds(ElementsAre(lineage)));
  EXPECT_THAT(store_->EventsAfter(job.id, 0, 10), IsOkAndHolds(ElementsAre(FullEvent("j", 7))));
  const absl::StatusOr<StateImage> image = store_->Load();
  ASSERT_THAT(image, IsOk());
  EXPECT_EQ(image->last_revision, 7);
  EXPECT_THAT(image->jobs, ElementsAre(job));
  EXPECT_THAT(image->tasks, ElementsAre(task));
  EXPECT_THAT(image->attempts, ElementsAre(attempt));
  EXPECT_THAT(image->blobs, ElementsAre(blob));
  EXPECT_THAT(image->results, ElementsAre(result));
  EXPECT_THAT(image->requests, ElementsAre(request));
  EXPECT_THAT(image->workers, ElementsAre(worker));
  EXPECT_THAT(image->quotas, ElementsAre(quota));
}

// Many more than a store may read at a time; their names say nothing of their age.
TEST_P(StateStoreTest, LoadsJobsByAgeWithTheirTasksAndAttemptsInPlanOrder) {
  constexpr int kJobs = 200;
  std::vector<std::string> jobs;
  std::vector<std::string> tasks;
  std::vector<std::string> attempts;
  for (int i = 0; i < kJobs; ++i) {
    const std::string id = absl::StrCat("job-", i * 7 % 10, "-", kJobs - i);
    JobRecord job = FullJob(id, 1 + i);
    job.status.state = i % 3 == 0 ? JobState::kCancelled : JobState::kRunning;
    jobs.push_back(id);
    std::vector<Mutation> mutations = {InsertJob{job}};
    for (const char* const name : {"z", "a"}) {
      const TaskRecord task = FullTask(id, name, name[0] == 'z' ? 0 : 1);
      mutations.push_back(InsertTask{task});
      tasks.push_back(task.id.str());
      for (int number = 1; number <= 2; ++number) {
        mutations.push_back(PutAttempt{FullAttempt(task.id, number)});
        attempts.push_back(absl::StrCat(task.id.str(), " ", number));
      }
    }
    Apply(mutations);
  }
  const StateImage image = store_->Load().value();
  std::vector<std::string> loaded;
  for (const JobRecord& job : image.jobs) loaded.push_back(job.id.str());
  EXPECT_EQ(loaded, jobs);
  loaded.clear();
  for (const TaskRecord& task : image.tasks) {
    loaded.push_back(task.id.str());
    const bool ended = (loaded.size() - 1) / 2 % 3 == 0;
    EXPECT_EQ(task.definition.spec.empty(), ended) << task.id.str();
  }
  EXPECT_EQ(loaded, tasks);
  loaded.clear();
  for (const AttemptRecord& attempt : image.attempts) {
    loaded.push_back(absl::StrCat(attempt.task.str(), " ", attempt.number));
  }
  EXPECT_EQ(loaded, attempts);
}

TEST_P(StateStoreTest, UpdatesReplaceTheChangingPartOnly) {
  JobRecord job = FullJob("j", 1);
  TaskRecord task = FullTask("j", "t", 0);
  Apply({InsertJob{job}, InsertTask{task}});
  task.status = FullStatus();
  job.status.state = JobState::kFailed;
  job.status.failure_message = "why";
  job.status.finish_time = At(5);
  job.status.revision = 8;
  job.status.artifacts = {{"report.json", DigestFor("r"), 4}};
  const std::vector<Mutation> update = {UpdateTask{task.id, task.status},
                                        UpdateJob{job.id, job.status}};
  Apply(update);
  Apply(update);  // Applying twice changes nothing.
  EXPECT_THAT(store_->GetTask(task.id), IsOkAndHolds(task));
  EXPECT_THAT(store_->GetJob(job.id), IsOkAndHolds(job));
  // A finished job is never granted again, so its specs need not fill the memory.
  EXPECT_EQ(store_->Load()->tasks.at(0).definition.spec, "");
}

TEST_P(StateStoreTest, ACommitIsAllOrNothingAndAFailureIsFinal) {
  Apply({InsertJob{FullJob("j", 1)}});
  EXPECT_FALSE(store_
                   ->Commit({PutBlob{BlobRecord{DigestFor("b"), 1, 1, BlobState::kPresent, At(1)}},
                             UpdateTask{TaskId("j/ghost"), TaskStatus{}}})
                   .ok());
  EXPECT_THAT(store_->GetBlob(DigestFor("b")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->Commit({PutWorker{
                  WorkerRecord{WorkerId("w"), true, kUnsetTime, Quarantine::kNone, ""}}}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(store_->GetJob(JobId("j")), IsOk());
}

TEST_P(StateStoreTest, KeepsThePauseOfAJob) {
  JobRecord job = FullJob("j", 1);
  Apply({InsertJob{job}});
  job.status.state = JobState::kPaused;
  Apply({UpdateJob{job.id, job.status}});
  EXPECT_THAT(store_->GetJob(job.id), IsOkAndHolds(job));
  job.status.state = JobState::kRunning;
  Apply({UpdateJob{job.id, job.status}});
  EXPECT_THAT(store_->GetJob(job.id), IsOkAndHolds(job));
}

TEST_P(StateStoreTest, ReplacesAndForgetsQuotas) {
  const auto quotas = [&] { return store_->Load()->quotas; };
  Apply({PutQuota{{ProjectId("b"), 2, 3, 4, 5, 6}}, PutQuota{{ProjectId("a"), 1, 0, 0, 0, 0}}});
  Apply({PutQuota{{ProjectId("b"), 7, 0, 0, 0, 0}}});
  EXPECT_THAT(quotas(), ElementsAre(QuotaRecord{ProjectId("a"), 1, 0, 0, 0, 0},
                                    QuotaRecord{ProjectId("b"), 7, 0, 0, 0, 0}));
  Apply({DeleteQuota{ProjectId("b")}, DeleteQuota{ProjectId("b")}});
  EXPECT_THAT(quotas(), ElementsAre(QuotaRecord{ProjectId("a"), 1, 0, 0, 0, 0}));
}

TEST_P(StateStoreTest, KeepsTheLedgerAndForgetsThatOfADeletedJob) {
  const ProjectId project("default");
  const LedgerRecord of_project{project,          JobId(),
                                "EVALUATE",       LedgerEntry::kLostResult,
                                int64_t{1} << 40, absl::Hours(24 * 365 * 1000)};
  LedgerRecord of_job{project, JobId("j"),           "EVALUATE", LedgerEntry::kSpent,
                      3,       absl::Microseconds(5)};
  LedgerRecord saved = of_job;
  saved.entry = LedgerEntry::kSaved;
  Apply({InsertJob{FullJob("j", 1)}, PutLedger{saved}, PutLedger{of_project}, PutLedger{of_job}});
  of_job.count = 4;
  Apply({PutLedger{of_job}});
  EXPECT_THAT(store_->Load()->ledger, ElementsAre(of_project, of_job, saved));
  Apply({DeleteJob{JobId("j")}});
  EXPECT_THAT(store_->Load()->ledger, ElementsAre(of_project));
}

TEST_P(StateStoreTest, RefusesRowsWithoutTheirOwner) {
  EXPECT_FALSE(store_->Commit({InsertTask{FullTask("ghost", "t", 0)}}).ok());
}

TEST_P(StateStoreTest, ListsJobsNewestFirstInPages) {
  for (int64_t i = 1; i <= 5; ++i) {
    JobRecord job = FullJob("j" + std::to_string(i), i);
    if (i == 4) job.project = ProjectId("other");
    Apply({InsertJob{job}});
  }
  const auto names = [&](JobPageRequest page) {
    std::string text;
    const std::vector<JobRecord> jobs = store_->ListJobs(page).value();
    for (const JobRecord& job : jobs) text += job.id.str() + " ";
    return text;
  };
  EXPECT_EQ(names({ProjectId(), 0, 100}), "j5 j4 j3 j2 j1 ");
  EXPECT_EQ(names({ProjectId("default"), 0, 2}), "j5 j3 ");
  EXPECT_EQ(names({ProjectId("default"), 3, 2}), "j2 j1 ");
}

TEST_P(StateStoreTest, ListsTasksInPlanOrderInPages) {
  Apply({InsertJob{FullJob("j", 1)}});
  for (int32_t i = 0; i < 12; ++i) Apply({InsertTask{FullTask("j", "t" + std::to_string(i), i)}});
  EXPECT_THAT(store_->ListTasks(JobId("j"), -1, 100).value(), SizeIs(12));
  const std::vector<TaskRecord> page = store_->ListTasks(JobId("j"), 8, 2).value();
  ASSERT_THAT(page, SizeIs(2));
  EXPECT_EQ(page[0].definition.name, "t9");
  EXPECT_EQ(page[1].definition.name, "t10");
}

TEST_P(StateStoreTest, CountsTasksByState) {
  Apply({InsertJob{FullJob("j", 1)}});
  const TaskState states[] = {TaskState::kSucceeded, TaskState::kSucceeded, TaskState::kRunning,
                              TaskState::kBlocked};
  for (int32_t i = 0; i < 4; ++i) {
    TaskRecord task = FullTask("j", "t" + std::to_string(i), i);
    task.status.state = states[i];
    if (i == 1) task.status.reused_from = TaskId("a/b");
    Apply({InsertTask{task}});
  }
  EXPECT_THAT(store_->CountTasks(JobId("j")), IsOkAndHolds(JobCounts{4, 2, 1, 1}));
}

TEST_P(StateStoreTest, EventsComeInOrderAfterARevision) {
  Apply({InsertJob{FullJob("j", 1)}, InsertJob{FullJob("k", 2)}});
  for (int64_t revision = 3; revision <= 9; ++revision) {
    Apply({AppendEvent{FullEvent(revision % 2 == 0 ? "k" : "j", revision)}});
  }
  const std::vector<EventRecord> events = store_->EventsAfter(JobId("j"), 3, 2).value();
  ASSERT_THAT(events, SizeIs(2));
  EXPECT_EQ(events[0].revision, 5);
  EXPECT_EQ(events[1].revision, 7);
  EXPECT_EQ(store_->Load()->last_revision, 9);
}

TEST_P(StateStoreTest, AttemptsOfAJobComeInPlanOrder) {
  Apply({InsertJob{FullJob("j", 1)}, InsertTask{FullTask("j", "z", 0)},
         InsertTask{FullTask("j", "a", 1)}});
  Apply({PutAttempt{FullAttempt(TaskId("j/a"), 1)}, PutAttempt{FullAttempt(TaskId("j/z"), 2)},
         PutAttempt{FullAttempt(TaskId("j/z"), 1)}});
  const std::vector<AttemptRecord> attempts = store_->ListJobAttempts(JobId("j")).value();
  ASSERT_THAT(attempts, SizeIs(3));
  EXPECT_EQ(attempts[0].task, TaskId("j/z"));
  EXPECT_EQ(attempts[1].number, 2);
  EXPECT_EQ(attempts[2].task, TaskId("j/a"));
}

TEST_P(StateStoreTest, DeletingAJobTakesAllThatIsItsAlong) {
  const TaskRecord task = FullTask("j", "t", 0);
  Apply({InsertJob{FullJob("j", 1)}, InsertTask{task}, PutAttempt{FullAttempt(task.id, 1)},
         PutRequest{{ProjectId("default"), RequestId("r"), DigestFor("b"), JobId("j")}},
         PutLineage{{DigestFor("b"), task.id, 1, "out", {}}}, AppendEvent{FullEvent("j", 5)},
         PutBlob{{DigestFor("b"), 1, 1, BlobState::kPresent, At(1)}}});
  Apply({DeleteJob{JobId("j")}});
  const StateImage image = store_->Load().value();
  EXPECT_THAT(image.jobs, IsEmpty());
  EXPECT_THAT(image.tasks, IsEmpty());
  EXPECT_THAT(image.attempts, IsEmpty());
  EXPECT_THAT(image.requests, IsEmpty());
  EXPECT_THAT(image.blobs, SizeIs(1));
  EXPECT_THAT(store_->Lineage(DigestFor("b")).value(), IsEmpty());
  EXPECT_THAT(store_->EventsAfter(JobId("j"), 0, 10).value(), IsEmpty());
  EXPECT_EQ(image.last_revision, 5);  // Revisions are never used twice.
}

TEST_P(StateStoreTest, ListsBlobsOfAllOrOfOneJob) {
  TaskRecord task = FullTask("j", "t", 0);
  task.status = FullStatus();
  Apply({InsertJob{FullJob("j", 1)}, InsertTask{task}, PutAttempt{FullAttempt(task.id, 1)}});
  for (const char* name : {"m", "e", "l", "c", "log", "unrelated"}) {
    Apply({PutBlob{{DigestFor(name), 1, 1, BlobState::kPresent, At(1)}}});
  }
  EXPECT_THAT(store_->ListBlobs({JobId(), "", 100}).value(), SizeIs(6));
  const std::vector<BlobRecord> of_job = store_->ListBlobs({JobId("j"), "", 100}).value();
  ASSERT_THAT(of_job, SizeIs(5));
  const std::vector<BlobRecord> page =
      store_->ListBlobs({JobId("j"), of_job[2].digest.str(), 1}).value();
  ASSERT_THAT(page, SizeIs(1));
  EXPECT_EQ(page[0], of_job[3]);
}

TEST_P(StateStoreTest, KeepsDataSetsUntilTheyAreDeleted) {
  const DatasetRecord a = FullDataset("a");
  DatasetRecord b = FullDataset("b");
  Apply({PutDataset{b}, PutDataset{a}});
  EXPECT_THAT(store_->GetDataset(a.name), IsOkAndHolds(a));
  EXPECT_THAT(store_->ListDatasets(DatasetName(), 10), IsOkAndHolds(ElementsAre(a, b)));
  EXPECT_THAT(store_->ListDatasets(DatasetName(), 1), IsOkAndHolds(ElementsAre(a)));
  EXPECT_THAT(store_->ListDatasets(a.name, 10), IsOkAndHolds(ElementsAre(b)));
  EXPECT_THAT(store_->Load()->datasets, ElementsAre(a, b));
  b.status = DatasetStatus{};
  b.status.state = DatasetState::kFailed;
  Apply({PutDataset{b}, DeleteDataset{a.name}, DeleteDataset{DatasetName("ghost")}});
  EXPECT_THAT(store_->GetDataset(a.name), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->Load()->datasets, ElementsAre(b));
}

TEST_P(StateStoreTest, DeletesBlobsAndResults) {
  Apply({PutBlob{{DigestFor("b"), 1, 1, BlobState::kPresent, At(1)}},
         PutResult{{ProjectId("p"), DigestFor("k"), TaskId("j/t"), {}}}});
  Apply({DeleteBlob{DigestFor("b")}, DeleteResult{ProjectId("p"), DigestFor("k")}});
  EXPECT_THAT(store_->Load()->blobs, IsEmpty());
  EXPECT_THAT(store_->Load()->results, IsEmpty());
}

#ifdef DISTILL_WITH_POSTGRES
std::unique_ptr<StateStore> OpenPostgres() {
  static const SystemClock clock;
  PostgresLeadershipConfig config;
  config.conninfo = SharedPostgresServer().NewDatabase();
  config.holder = "test";
  auto leadership = OpenPostgresLeadership(config, clock).value();
  EXPECT_TRUE(leadership->TryToLead().value());
  return leadership->OpenStore().value();
}

INSTANTIATE_TEST_SUITE_P(Server, StateStoreTest,
                         ::testing::Values(Backend{"Postgres",
                                                   [](const TempDir&) { return OpenPostgres(); }}),
                         [](const auto& test) { return test.param.name; });
#endif
TokenRecord FullToken(const std::string& id) {
  TokenRecord token;
  token.id = id;
  token.secret = DigestFor("secret-" + id);
  token.project = ProjectId("vision");
  token.role = 2;
  token.description = "nightly, \t 'jobs'";
  token.creator = "user/alice";
  token.create_time = At(1);
  token.expire_time = At(2);
  token.revoke_time = At(3);
  token.last_used_time = At(4);
  return token;
}

TEST_P(StateStoreTest, KeepsTokensUntilTheyAreDeleted) {
  const TokenRecord a = FullToken("a");
  TokenRecord b = FullToken("b");
  b.revoke_time = kUnsetTime;
  b.last_used_time = kUnsetTime;
  Apply({PutToken{b}, PutToken{a}});
  EXPECT_THAT(store_->ListTokens(), IsOkAndHolds(ElementsAre(a, b)));
  b.revoke_time = At(9);
  b.last_used_time = At(10);
  Apply({PutToken{b}, TouchToken{"b", At(10)}, TouchToken{"ghost", At(10)}, DeleteToken{"a"},
         DeleteToken{"ghost"}});
  EXPECT_THAT(store_->ListTokens(), IsOkAndHolds(ElementsAre(b)));
}

TEST_P(StateStoreTest, ABlobBelongsToWhoSentItAndToWhoMadeIt) {
  const Digest blob = DigestFor("b");
  JobRecord job = FullJob("j", 1);
  job.project = ProjectId("maker");
  const TaskRecord task = FullTask("j", "t", 0);
  Apply({InsertJob{job}, InsertTask{task}, PutBlob{{blob, 1, 1, BlobState::kPresent, At(1)}}});
  EXPECT_THAT(store_->ProjectsOfBlob(blob), IsOkAndHolds(IsEmpty()));
  Apply({PutLineage{{blob, task.id, 1, "out", {}}}, PutBlobOwner{{blob, ProjectId("sender")}},
         PutBlobOwner{{blob, ProjectId("sender")}}, PutBlobOwner{{blob, ProjectId("maker")}},
         PutBlobOwner{{DigestFor("other"), ProjectId("stranger")}}});
  EXPECT_THAT(store_->ProjectsOfBlob(blob),
              IsOkAndHolds(ElementsAre(ProjectId("maker"), ProjectId("sender"))));
  Apply({DeleteBlob{blob}});
  EXPECT_THAT(store_->ProjectsOfBlob(blob), IsOkAndHolds(ElementsAre(ProjectId("maker"))));
}

// Later jobs may have reused what it made.
TEST_P(StateStoreTest, ADeletedJobLeavesItsBlobsToItsProject) {
  JobRecord job = FullJob("j", 1);
  job.project = ProjectId("maker");
  const TaskRecord task = FullTask("j", "t", 0);
  const Digest kept = DigestFor("kept");
  const Digest gone = DigestFor("gone");
  Apply({InsertJob{job}, InsertTask{task}, PutBlob{{kept, 1, 1, BlobState::kPresent, At(1)}},
         PutLineage{{kept, task.id, 1, "a", {}}}, PutLineage{{gone, task.id, 1, "b", {}}}});
  Apply({DeleteJob{JobId("j")}});
  EXPECT_THAT(store_->ProjectsOfBlob(kept), IsOkAndHolds(ElementsAre(ProjectId("maker"))));
  EXPECT_THAT(store_->ProjectsOfBlob(gone), IsOkAndHolds(IsEmpty()));
  Apply({DeleteBlob{kept}});
  EXPECT_THAT(store_->ProjectsOfBlob(kept), IsOkAndHolds(IsEmpty()));
}

INSTANTIATE_TEST_SUITE_P(
    Backends, StateStoreTest,
    ::testing::Values(Backend{"Memory",
                              [](const TempDir&) -> std::unique_ptr<StateStore> {
                                return std::make_unique<MemoryStateStore>();
                              }},
                      Backend{"Sqlite",
                              [](const TempDir& dir) -> std::unique_ptr<StateStore> {
                                return SqliteStateStore::Open(dir.Join("state.db")).value();
                              }}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace distill::storage
