// Which tasks of a job run when another job has done most of its work: over real gRPC, SQLite and
// blob store, with a scripted worker.
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server/server_fixture.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

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

}  // namespace
}  // namespace distill::server
