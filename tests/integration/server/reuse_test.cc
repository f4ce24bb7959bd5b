// Which tasks of a job run when another job has done most of its work, what that saved, and why
// others ran: over real gRPC, SQLite and blob store, with a scripted worker.
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/error_details.h"
#include "base/error_reasons.h"
#include "base/file.h"
#include "distill/v1/cache_service.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server/server_fixture.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ReuseTest : public ServerTest {
 protected:
  v1::JobSpec NacSpec(v1::GraphPriorKind prior) const {
    v1::JobSpec spec = SmallSpec();
    spec.set_modules(3);
    spec.mutable_student()->mutable_nac()->set_tokenizer_stem(7);
    spec.mutable_student()->mutable_nac()->mutable_prior()->set_kind(prior);
    return spec;
  }

  // Works until the job ends; returns the names of the tasks that ran.
  std::set<std::string> RunToEnd(const v1::JobSpec& spec, const std::string& request_id) {
    const absl::StatusOr<v1::Job> job = Create(spec, request_id);
    EXPECT_THAT(job, IsOk());
    if (!job.ok()) return {};
    job_ = job->id();
    ScriptedWorker worker(*workers_, *artifacts_, absl::StrCat("worker-", request_id));
    worker.Register();
    std::set<std::string> ran;
    while (!HasFailure()) {
      const absl::StatusOr<v1::Job> now = GetJob(job_);
      if (!now.ok() || now->state() != v1::JOB_STATE_RUNNING) break;
      const v1::AcquireTasksResponse work =
          worker.Acquire(/*max_lease_sets=*/2, /*wait_seconds=*/1);
      for (const v1::LeaseSet& lease_set : work.lease_sets()) {
        for (const v1::Grant& grant : lease_set.grants()) {
          ran.insert(grant.lease().task());
          EXPECT_EQ(worker.Complete(grant).code(), 0);
        }
      }
    }
    return ran;
  }

  v1::Report Report() {
    v1::GetReportRequest request;
    request.set_job(job_);
    v1::Report report;
    EXPECT_THAT(FromGrpcStatus(jobs_->GetReport(MakeContext().get(), request, &report)), IsOk());
    return report;
  }

  v1::KeyExplanation Explain(const v1::ExplainKeyRequest& request) {
    v1::KeyExplanation explanation;
    EXPECT_THAT(FromGrpcStatus(v1::CacheService::NewStub(channel_)->ExplainKey(
                    MakeContext().get(), request, &explanation)),
                IsOk());
    return explanation;
  }
  // Of a task of the last job.
  v1::KeyExplanation Explain(const std::string& task) {
    v1::ExplainKeyRequest request;
    request.set_job(job_);
    request.set_task(task);
    return Explain(request);
  }
  absl::StatusOr<v1::EvictResultResponse> Evict(const std::string& task) {
    v1::EvictResultRequest request;
    request.set_job(job_);
    request.set_task(task);
    v1::EvictResultResponse response;
    const absl::Status status = FromGrpcStatus(
        v1::CacheService::NewStub(channel_)->EvictResult(MakeContext().get(), request, &response));
    if (!status.ok()) return status;
    return response;
  }
  v1::Ledger Cost() {
    v1::GetJobCostRequest request;
    request.set_job(job_);
    v1::Ledger ledger;
    EXPECT_THAT(FromGrpcStatus(jobs_->GetJobCost(MakeContext().get(), request, &ledger)), IsOk());
    return ledger;
  }
  v1::Task GetTask(const std::string& task) {
    v1::GetTaskRequest request;
    request.set_job(job_);
    request.set_task(task);
    v1::Task response;
    EXPECT_THAT(FromGrpcStatus(tasks_->GetTask(MakeContext().get(), request, &response)), IsOk());
    return response;
  }
  // Where the only result of a task of the last job lies.
  std::string FileOf(const std::string& task) {
    const v1::Task done = GetTask(task);
    EXPECT_THAT(done.results(), SizeIs(1));
    const std::string hex(Digest::Parse(done.results(0).digest())->hex());
    return JoinPath(Config().data_dir, absl::StrCat("blobs/blobs/sha256/", hex.substr(0, 2), "/",
                                                    hex.substr(2, 2), "/", hex));
  }

  std::string job_;
};

TEST_F(ReuseTest, ASecondPriorDistillsNothing) {
  const std::set<std::string> first = RunToEnd(NacSpec(v1::GRAPH_PRIOR_KIND_SCALE_FREE), "first");
  EXPECT_EQ(first.count("distill-module-0"), 1u);
  EXPECT_EQ(Report().prior().connectivity().nodes(), 64);
  EXPECT_EQ(Report().prior().kind(), "scale free");

  EXPECT_THAT(
      RunToEnd(NacSpec(v1::GRAPH_PRIOR_KIND_RING_OF_CLIQUES), "second"),
      ElementsAre("assemble-student", "baseline-b1", "evaluate-baseline-b1", "evaluate-student",
                  "evaluate-student-distilled", "finetune-student", "fit-prior"));
  // Pretraining, three stages, assembly, fine-tuning and split; three modules; eight evaluations.
  const v1::Report report = Report();
  double saved = 0.0;
  for (const v1::Report::Phase& phase : report.phases()) saved += phase.saved_cpu_seconds();
  EXPECT_EQ(saved, 2.0 * report.job().tasks_reused());
  EXPECT_EQ(report.job().tasks_reused(), 18);
  EXPECT_THAT(report.markdown(), HasSubstr("Reused results saved **54.0 seconds**"));
}

TEST_F(ReuseTest, AGatedJobTakesUpTheModulesOfOneWithout) {
  RunToEnd(SmallSpec(), "first");
  v1::JobSpec gated = SmallSpec();
  gated.mutable_quality_gate()->set_largest_accuracy_gap(0.5);
  EXPECT_THAT(RunToEnd(gated, "second"),
              ElementsAre("assemble-student", "evaluate-student", "evaluate-student-distilled",
                          "finetune-student", "select-module-0", "select-module-1"));
  const v1::Report report = Report();
  ASSERT_EQ(report.verdicts_size(), 2);
  EXPECT_FALSE(report.verdicts(0).accepted());
  EXPECT_THAT(report.markdown(),
              HasSubstr("although it did not pass the quality gate: it falls short"));
}

TEST_F(ReuseTest, AMissIsExplainedByWhatDiffersWhereItBegan) {
  RunToEnd(SmallSpec(), "first");
  EXPECT_EQ(Explain("pretrain-meta").outcome(), v1::CACHE_OUTCOME_FIRST);
  const std::string first = job_;
  v1::JobSpec changed = SmallSpec();
  changed.mutable_pretrain_meta()->set_learning_rate(0.0625);
  RunToEnd(changed, "second");
  const v1::KeyExplanation miss = Explain("distill-module-0");
  EXPECT_EQ(miss.outcome(), v1::CACHE_OUTCOME_DIFFERS);
  EXPECT_EQ(miss.compared_with(), absl::StrCat(first, "/distill-module-0"));
  ASSERT_THAT(miss.differences(), SizeIs(1));
  EXPECT_EQ(miss.differences(0).task(), "pretrain-meta");
  EXPECT_EQ(miss.differences(0).path(), "recipe.learning_rate");
  EXPECT_EQ(miss.differences(0).value(), "0.0625");
  EXPECT_THAT(miss.detail(), HasSubstr("pretrain-meta has recipe.learning_rate 0.0625 instead of"));
  EXPECT_EQ(miss.result().made_by(), absl::StrCat(job_, "/distill-module-0"));
  EXPECT_TRUE(miss.result().usable());
  EXPECT_GT(miss.parts_size(), 50);
  const std::string second = job_;

  EXPECT_THAT(RunToEnd(changed, "third"), IsEmpty());
  const v1::KeyExplanation hit = Explain("distill-module-0");
  EXPECT_EQ(hit.outcome(), v1::CACHE_OUTCOME_HIT);
  EXPECT_THAT(hit.detail(), HasSubstr(second));
  v1::ExplainKeyRequest by_key;
  by_key.set_key(hit.key());
  const v1::KeyExplanation key = Explain(by_key);
  EXPECT_EQ(key.outcome(), v1::CACHE_OUTCOME_NOT_A_TASK);
  EXPECT_EQ(key.kind(), "DISTILL_MODULE");
  ASSERT_THAT(key.users(), SizeIs(2));
  EXPECT_EQ(key.users(0).task(), absl::StrCat(job_, "/distill-module-0"));
  EXPECT_FALSE(key.users(0).made());
  EXPECT_TRUE(key.users(1).made());
  by_key.set_project("elsewhere");
  EXPECT_THAT(Explain(by_key).users(), IsEmpty());
}

TEST_F(ReuseTest, AnEvictedResultIsMadeAgainAndAPinnedOneStays) {
  const v1::Job open = Create(SmallSpec(), "open").value();
  job_ = open.id();
  ScriptedWorker worker(*workers_, *artifacts_, "w1");
  worker.Register();
  worker.CompleteTasks(1);
  const absl::Status pinned = Evict("pretrain-meta").status();
  EXPECT_THAT(pinned, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(open.id())));
  EXPECT_EQ(ReasonOf(pinned), reason::kResultPinned);
  EXPECT_THAT(Explain("pretrain-meta").result().pinned_by(), ElementsAre(open.id()));
  worker.CompleteTasks(open.tasks_total() - GetJob(open.id())->tasks_succeeded());
  WatchToEnd(open.id(), 0);

  EXPECT_TRUE(Evict("evaluate-student")->evicted());
  EXPECT_FALSE(Evict("evaluate-student")->evicted());
  StopServer();
  StartServer();
  EXPECT_THAT(RunToEnd(SmallSpec(), "again"), ElementsAre("evaluate-student"));
  EXPECT_EQ(Explain("evaluate-student").outcome(), v1::CACHE_OUTCOME_NO_RESULT);
}

TEST_F(ReuseTest, WhatJobsCostAndSavedIsKept) {
  const size_t ran = RunToEnd(SmallSpec(), "first").size();
  const v1::Ledger first = Cost();
  EXPECT_EQ(first.total().attempts(), static_cast<int64_t>(ran));
  EXPECT_EQ(first.total().misses(), static_cast<int64_t>(ran));
  EXPECT_GT(first.total().spent_seconds(), 0.0);
  EXPECT_EQ(first.total().lost_seconds(), 0.0);
  EXPECT_GT(GetTask("distill-module-0").device_seconds(), 0.0);
  EXPECT_GT(GetTask("distill-module-0").attempts(0).device_seconds(), 0.0);
  StopServer();
  StartServer();
  EXPECT_THAT(RunToEnd(SmallSpec(), "second"), IsEmpty());
  EXPECT_EQ(Cost().total().hits(), static_cast<int64_t>(ran));
  EXPECT_NEAR(Cost().total().saved_seconds(), first.total().spent_seconds(), 1e-4);
  EXPECT_EQ(Cost().total().attempts(), 0);

  v1::ListLedgersResponse ledgers;
  EXPECT_THAT(
      FromGrpcStatus(fleet_->ListLedgers(MakeContext().get(), v1::ListLedgersRequest(), &ledgers)),
      IsOk());
  ASSERT_THAT(ledgers.ledgers(), SizeIs(1));
  EXPECT_EQ(ledgers.ledgers(0).project(), "default");
  EXPECT_EQ(ledgers.ledgers(0).total().hits(), static_cast<int64_t>(ran));
  EXPECT_EQ(ledgers.ledgers(0).total().attempts(), static_cast<int64_t>(ran));
  v1::CacheStats stats;
  EXPECT_THAT(FromGrpcStatus(v1::CacheService::NewStub(channel_)->GetCacheStats(
                  MakeContext().get(), v1::GetCacheStatsRequest(), &stats)),
              IsOk());
  int64_t entries = 0;
  for (const v1::CacheStats::Row& row : stats.rows()) entries += row.entries();
  EXPECT_EQ(entries, static_cast<int64_t>(ran));
}

// A job of which every task would be a hit reads no blob, so nobody would miss one.
TEST_F(ReuseTest, AResultOfWhichTheFileIsGoneOrCutShortIsNoHit) {
  RunToEnd(SmallSpec(), "first");
  ASSERT_THAT(RemoveFile(FileOf("distill-module-0")), IsOk());
  ASSERT_THAT(WriteFileAtomically(FileOf("distill-module-1"), "weigh"), IsOk());
  EXPECT_THAT(RunToEnd(SmallSpec(), "second"), ElementsAre("distill-module-0", "distill-module-1"));
  EXPECT_EQ(Explain("distill-module-0").outcome(), v1::CACHE_OUTCOME_NO_RESULT);
  EXPECT_THAT(RunToEnd(SmallSpec(), "third"), IsEmpty());
}

TEST_F(ReuseTest, AnInputThatHasRottedIsMadeAgainByItsProducer) {
  job_ = Create(SmallSpec(), "first")->id();
  ScriptedWorker worker(*workers_, *artifacts_, "w1");
  worker.Register();
  worker.CompleteTasks(1);
  const std::string file = FileOf("pretrain-meta");
  const std::string digest = GetTask("pretrain-meta").results(0).digest();
  {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.put('!');
    ASSERT_TRUE(stream.good());
  }
  const v1::AcquireTasksResponse work = worker.Acquire(1, 10);
  ASSERT_THAT(work.lease_sets(), SizeIs(1));
  v1::FailAttemptsRequest failed;
  failed.set_worker_id("w1");
  for (const v1::Grant& grant : work.lease_sets(0).grants()) {
    v1::FailAttemptsRequest::Item& item = *failed.add_items();
    *item.mutable_lease() = grant.lease();
    item.set_failure_class(v1::FAILURE_CLASS_INFRASTRUCTURE);
    item.set_message("an input is not what its digest says");
    item.add_bad_inputs(digest);
  }
  v1::FailAttemptsResponse answer;
  ASSERT_THAT(FromGrpcStatus(workers_->FailAttempts(MakeContext().get(), failed, &answer)), IsOk());
  EXPECT_EQ(answer.statuses(0).code(), 0);

  const v1::AcquireTasksResponse again = worker.Acquire(1, 10);
  ASSERT_THAT(again.lease_sets(), SizeIs(1));
  EXPECT_EQ(again.lease_sets(0).grants(0).lease().task(), "pretrain-meta");
  EXPECT_EQ(worker.Complete(again.lease_sets(0).grants(0)).code(), 0);
  const v1::Ledger cost = Cost();
  bool told = false;
  for (const v1::DeviceTimeLoss& loss : cost.total().losses()) {
    told = told || loss.cause() == v1::LOSS_CAUSE_RESULT_LOST;
  }
  EXPECT_TRUE(told);
  const v1::Job job = GetJob(job_).value();
  worker.CompleteTasks(job.tasks_total() - job.tasks_succeeded());
  EXPECT_EQ(WatchToEnd(job_, 0).back().job().state(), v1::JOB_STATE_SUCCEEDED);
}

TEST_F(ReuseTest, EqualJobsShareOneExecution) {
  const v1::Job one = Create(SmallSpec(), "one").value();
  const v1::Job two = Create(SmallSpec(), "two").value();
  job_ = two.id();
  EXPECT_EQ(Explain("pretrain-meta").outcome(), v1::CACHE_OUTCOME_FOLLOWS);
  EXPECT_EQ(Explain("assemble-student").outcome(), v1::CACHE_OUTCOME_PENDING);
  ScriptedWorker worker(*workers_, *artifacts_, "w1");
  worker.Register();
  worker.CompleteTasks(one.tasks_total());
  WatchToEnd(one.id(), 0);
  EXPECT_EQ(WatchToEnd(two.id(), 0).back().job().state(), v1::JOB_STATE_SUCCEEDED);
  const v1::Ledger cost = Cost();
  EXPECT_EQ(cost.total().merged(), two.tasks_total());  // Each was ready when its equal was.
  EXPECT_EQ(cost.total().hits(), two.tasks_total());
  EXPECT_EQ(cost.total().attempts(), 0);
}

TEST_F(ReuseTest, KeysAreNamedOneWay) {
  v1::ExplainKeyRequest request;
  v1::KeyExplanation explanation;
  const auto stub = v1::CacheService::NewStub(channel_);
  const auto explain = [&] {
    return FromGrpcStatus(stub->ExplainKey(MakeContext().get(), request, &explanation));
  };
  EXPECT_THAT(explain(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("job")));
  request.set_job("job-ghost");
  request.set_task("t");
  EXPECT_THAT(explain(), StatusIs(absl::StatusCode::kNotFound));
  request.set_key(Digest::OfBytes("x").str());
  EXPECT_THAT(explain(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("key")));
  request.clear_job();
  request.clear_task();
  EXPECT_THAT(explain(), IsOk());
  EXPECT_EQ(explanation.detail(), "no result is there");
  request.set_key("sha256:short");
  EXPECT_THAT(explain(), StatusIs(absl::StatusCode::kInvalidArgument));
}

// The plan says before the job is submitted what came true above.
TEST_F(ReuseTest, APlanTellsWhatWouldRunAndWhatItWouldTake) {
  const auto plan = [this](const v1::JobSpec& spec) {
    v1::PlanJobRequest request;
    *request.mutable_spec() = spec;
    v1::JobPlan plan;
    EXPECT_THAT(FromGrpcStatus(jobs_->PlanJob(MakeContext().get(), request, &plan)), IsOk());
    return plan;
  };
  const v1::JobSpec spec = NacSpec(v1::GRAPH_PRIOR_KIND_SCALE_FREE);
  const v1::JobPlan before = plan(spec);
  EXPECT_EQ(before.tasks_size(), before.job().tasks_total());
  EXPECT_EQ(before.unpredicted_tasks(), before.tasks_size());
  EXPECT_GT(before.largest_memory_bytes(), 0);
  EXPECT_EQ(before.job().id(), "");
  EXPECT_THAT(ListJobs(), ::testing::IsEmpty());
  EXPECT_THAT(before.tasks(0).key(), ::testing::StartsWith("sha256:"));

  const std::set<std::string> ran = RunToEnd(spec, "first");
  const v1::JobPlan again = plan(spec);
  for (const v1::PlannedTask& task : again.tasks()) {
    EXPECT_EQ(task.execution(), v1::PLANNED_EXECUTION_REUSES) << task.id();
    EXPECT_EQ(task.equal_task(), absl::StrCat(job_, "/", task.id()));
  }
  EXPECT_EQ(again.predicted_seconds(), 0.0);
  EXPECT_GT(again.saved_seconds(), 0.0);

  // Another seed repeats all the work, and takes as long as it took.
  v1::JobSpec other = spec;
  other.set_seed(7);
  const v1::JobPlan seeded = plan(other);
  EXPECT_EQ(seeded.unpredicted_tasks(), 0);
  EXPECT_GT(seeded.predicted_seconds(), 0.0);
  EXPECT_LT(seeded.critical_path_seconds(), seeded.predicted_seconds());

  int runs = 0;
  const v1::JobPlan second = plan(NacSpec(v1::GRAPH_PRIOR_KIND_RING_OF_CLIQUES));
  for (const v1::PlannedTask& task : second.tasks()) {
    if (task.execution() == v1::PLANNED_EXECUTION_RUNS) ++runs;
  }
  EXPECT_EQ(runs, 7);
}

TEST_F(ReuseTest, APlanRefusesWhatASubmissionWould) {
  v1::PlanJobRequest request;
  *request.mutable_spec() = SmallSpec();
  request.mutable_spec()->set_modules(0);
  v1::JobPlan plan;
  EXPECT_THAT(FromGrpcStatus(jobs_->PlanJob(MakeContext().get(), request, &plan)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("modules: got 0")));
}

}  // namespace
}  // namespace distill::server
