// What operators and researchers steer, over real gRPC and SQLite: pauses, retries, deletions,
// explanations, quarantine, drain deadlines and quotas.
#include <grpcpp/grpcpp.h>

#include <string>

#include "base/error_details.h"
#include "base/error_reasons.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server/server_fixture.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class SchedulingTest : public ServerTest {
 protected:
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(Stub& stub,
                                grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                             Response*),
                                const Request& request) {
    Response response;
    const absl::Status status =
        FromGrpcStatus((stub.*method)(MakeContext().get(), request, &response));
    if (!status.ok()) return status;
    return response;
  }
  template <typename Request>
  static Request Of(const std::string& job) {
    Request request;
    request.set_job(job);
    return request;
  }
  absl::StatusOr<v1::TaskExplanation> Explain(const std::string& job, const std::string& task) {
    v1::ExplainTaskRequest request = Of<v1::ExplainTaskRequest>(job);
    request.set_task(task);
    return Call(*tasks_, &v1::TaskService::Stub::ExplainTask, request);
  }
};

TEST_F(SchedulingTest, APausedJobHandsBackWhatRunsAndGoesOnWhenResumed) {
  const v1::Job job = Create(SmallSpec(), "r1").value();
  EXPECT_EQ(job.spec().execution().priority(), 5);
  ScriptedWorker worker(*workers_, *artifacts_, "w1");
  worker.Register();
  const v1::AcquireTasksResponse acquired = worker.Acquire(1, 10);
  ASSERT_THAT(acquired.lease_sets(), SizeIs(1));
  const v1::LeaseRef lease = acquired.lease_sets(0).grants(0).lease();

  const auto paused =
      Call(*jobs_, &v1::JobService::Stub::PauseJob, Of<v1::PauseJobRequest>(job.id()));
  ASSERT_THAT(paused, IsOk());
  EXPECT_EQ(paused->state(), v1::JOB_STATE_PAUSED);
  const v1::HeartbeatResponse beat = worker.Heartbeat({lease});
  ASSERT_THAT(beat.directives(), SizeIs(1));
  EXPECT_EQ(beat.directives(0).kind(), v1::Directive::KIND_PREEMPT_ATTEMPT);
  EXPECT_EQ(worker.Release(lease).code(), 0);
  EXPECT_THAT(worker.Acquire(1, 0).lease_sets(), IsEmpty());
  EXPECT_EQ(Explain(job.id(), lease.task())->reason(), v1::WAIT_REASON_JOB_PAUSED);

  StopServer();
  StartServer();
  EXPECT_EQ(GetJob(job.id())->state(), v1::JOB_STATE_PAUSED);
  ASSERT_THAT(Call(*jobs_, &v1::JobService::Stub::ResumeJob, Of<v1::ResumeJobRequest>(job.id())),
              IsOk());
  ScriptedWorker again(*workers_, *artifacts_, "w1");
  again.Register();
  again.CompleteTasks(job.tasks_total());
  EXPECT_EQ(WatchToEnd(job.id(), 0).back().job().state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_THAT(Call(*jobs_, &v1::JobService::Stub::PauseJob, Of<v1::PauseJobRequest>(job.id())),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(SchedulingTest, ARetryIsANewJobThatReusesWhatHadSucceeded) {
  const v1::Job job = Create(SmallSpec(), "r1").value();
  v1::RetryJobRequest retry = Of<v1::RetryJobRequest>(job.id());
  retry.set_request_id("again");
  EXPECT_THAT(Call(*jobs_, &v1::JobService::Stub::RetryJob, retry),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("state=RUNNING")));
  ScriptedWorker worker(*workers_, *artifacts_, "w1");
  worker.Register();
  worker.CompleteTasks(2);
  ASSERT_THAT(Call(*jobs_, &v1::JobService::Stub::CancelJob, Of<v1::CancelJobRequest>(job.id())),
              IsOk());
  WatchToEnd(job.id(), 0);

  const auto again = Call(*jobs_, &v1::JobService::Stub::RetryJob, retry);
  ASSERT_THAT(again, IsOk());
  EXPECT_NE(again->id(), job.id());
  EXPECT_EQ(Call(*jobs_, &v1::JobService::Stub::RetryJob, retry)->id(), again->id());
  worker.CompleteTasks(job.tasks_total() - 2);
  WatchToEnd(again->id(), 0);
  EXPECT_EQ(GetJob(again->id())->state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(GetJob(again->id())->tasks_reused(), 2);
  EXPECT_EQ(GetJob(job.id())->state(), v1::JOB_STATE_CANCELLED);
}

TEST_F(SchedulingTest, DeletesOnlyJobsThatAreOver) {
  const v1::Job job = Create(SmallSpec(), "r1").value();
  const auto request = Of<v1::DeleteJobRequest>(job.id());
  EXPECT_THAT(Call(*jobs_, &v1::JobService::Stub::DeleteJob, request),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("cancel it first")));
  ASSERT_THAT(Call(*jobs_, &v1::JobService::Stub::CancelJob, Of<v1::CancelJobRequest>(job.id())),
              IsOk());
  EXPECT_THAT(Call(*jobs_, &v1::JobService::Stub::DeleteJob, request), IsOk());
  EXPECT_THAT(GetJob(job.id()), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(ListJobs(), IsEmpty());
}

TEST_F(SchedulingTest, ExplainsATaskAndRefusesWhatNobodyCouldRun) {
  v1::JobSpec spec = SmallSpec();
  spec.mutable_execution()->add_labels("zone=moon");
  const v1::Job job = Create(spec, "early").value();  // Nobody is there to say that it is hopeless.
  const std::string first = "pretrain-meta";
  EXPECT_EQ(Explain(job.id(), first)->reason(), v1::WAIT_REASON_NO_WORKER);
  ScriptedWorker worker(*workers_, *artifacts_, "w1");
  worker.Register();
  const auto explanation = Explain(job.id(), first);
  ASSERT_THAT(explanation, IsOk());
  EXPECT_EQ(explanation->reason(), v1::WAIT_REASON_NO_FIT);
  ASSERT_THAT(explanation->workers(), SizeIs(1));
  EXPECT_EQ(explanation->workers(0).failed(), v1::PREDICATE_LABELS);
  EXPECT_EQ(explanation->workers(0).detail(), "has no label zone=moon");
  EXPECT_THAT(Explain(job.id(), "ghost"), StatusIs(absl::StatusCode::kNotFound));

  spec.mutable_execution()->clear_labels();
  spec.mutable_execution()->set_min_driver_version("535.104");
  EXPECT_THAT(Create(spec, "driver"), StatusIs(absl::StatusCode::kFailedPrecondition,
                                               HasSubstr("has no driver 535.104 or newer")));
  spec.mutable_execution()->set_min_driver_version("new");
  EXPECT_THAT(Create(spec, "driver"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("min_driver_version")));
  spec.mutable_execution()->clear_min_driver_version();
  spec.mutable_execution()->add_labels("zone=moon");

  spec.set_seed(1);
  EXPECT_THAT(Create(spec, "late"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("zone=moon")));
  v1::CreateJobRequest request;
  *request.mutable_spec() = spec;
  request.set_request_id("allowed");
  request.set_allow_unplaceable(true);
  EXPECT_THAT(Call(*jobs_, &v1::JobService::Stub::CreateJob, request), IsOk());
}

TEST_F(SchedulingTest, WorkersAreQuarantinedAndDrainedByADeadline) {
  const v1::Job job = Create(SmallSpec(), "r1").value();
  ScriptedWorker worker(*workers_, *artifacts_, "w1");
  worker.Register();
  const v1::AcquireTasksResponse acquired = worker.Acquire(1, 10);
  ASSERT_THAT(acquired.lease_sets(), SizeIs(1));
  const v1::LeaseRef lease = acquired.lease_sets(0).grants(0).lease();
  v1::QuarantineWorkerRequest quarantine;
  quarantine.set_worker_id("w1");
  quarantine.set_reason("it smokes");
  const auto distrusted = Call(*fleet_, &v1::FleetService::Stub::QuarantineWorker, quarantine);
  ASSERT_THAT(distrusted, IsOk());
  EXPECT_EQ(distrusted->state(), v1::WORKER_STATE_QUARANTINED);
  EXPECT_EQ(distrusted->quarantine(), v1::QUARANTINE_MANUAL);
  EXPECT_EQ(distrusted->quarantine_reason(), "it smokes");

  v1::DrainWorkerRequest drain;
  drain.set_worker_id("w1");
  drain.set_deadline_seconds(0.001);
  const auto drained = Call(*fleet_, &v1::FleetService::Stub::DrainWorker, drain);
  ASSERT_THAT(drained, IsOk());
  EXPECT_TRUE(drained->has_drain_deadline());
  v1::HeartbeatResponse beat = worker.Heartbeat({lease});
  while (beat.directives_size() < 2 && !HasFailure()) beat = worker.Heartbeat({lease});
  EXPECT_EQ(beat.directives(1).kind(), v1::Directive::KIND_PREEMPT_ATTEMPT);
  EXPECT_EQ(worker.Release(lease).code(), 0);

  v1::ResumeWorkerRequest resume;
  resume.set_worker_id("w1");
  const auto resumed = Call(*fleet_, &v1::FleetService::Stub::ResumeWorker, resume);
  ASSERT_THAT(resumed, IsOk());
  EXPECT_EQ(resumed->state(), v1::WORKER_STATE_READY);
  EXPECT_THAT(worker.Acquire(1, 10).lease_sets(), SizeIs(1));
}

TEST_F(SchedulingTest, QuotasHoldAndOutliveARestart) {
  v1::SetQuotaRequest set;
  set.mutable_quota()->set_project("default");
  set.mutable_quota()->set_weight(2);
  set.mutable_quota()->set_max_slots(1);
  set.mutable_quota()->set_max_submits_per_hour(1);
  ASSERT_THAT(Call(*fleet_, &v1::FleetService::Stub::SetQuota, set), IsOk());
  StopServer();
  StartServer();
  const v1::Job job = Create(SmallSpec(), "r1").value();
  v1::JobSpec other = SmallSpec();
  other.set_seed(1);
  const absl::Status refused = Create(other, "r2").status();
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted,
                                HasSubstr("quota=max_submits_per_hour limit=1")));
  const ErrorDetails details = DetailsOf(refused);
  EXPECT_EQ(details.reason, reason::kQuotaUsedUp);
  ASSERT_THAT(details.quotas, SizeIs(1));
  EXPECT_EQ(details.quotas[0].subject, "project:default");
  EXPECT_TRUE(details.retry_delay.has_value());
  const auto listed = Call(*fleet_, &v1::FleetService::Stub::ListQuotas, v1::ListQuotasRequest());
  ASSERT_THAT(listed, IsOk());
  ASSERT_THAT(listed->quotas(), SizeIs(1));
  EXPECT_EQ(listed->quotas(0).weight(), 2);
  EXPECT_EQ(listed->quotas(0).slots_in_use(), 0);
  v1::DeleteQuotaRequest clear;
  clear.set_project("default");
  EXPECT_THAT(Call(*fleet_, &v1::FleetService::Stub::DeleteQuota, clear), IsOk());
  EXPECT_THAT(Create(other, "r2"), IsOk());
  set.mutable_quota()->set_weight(1001);
  EXPECT_THAT(Call(*fleet_, &v1::FleetService::Stub::SetQuota, set),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("quota.weight")));
}

}  // namespace
}  // namespace distill::server
