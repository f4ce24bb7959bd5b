// What can be seen of an attempt while it runs and afterwards: its log, which is the same bytes at
// the same offsets, its training series, and the job's trace.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/trace_context.h"
#include "distill/v1/trace.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/status/grpc_status.h"
#include "tests/integration/server/server_fixture.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::testing::SizeIs;
using ::testing::StartsWith;

class ObservationTest : public ServerTest {
 protected:
  // Starts the job's first task on a worker.
  v1::Grant Begin() {
    job_ = Create(SmallSpec(), "r")->id();
    worker_.emplace(*workers_, *artifacts_, "w1");
    worker_->Register();
    const v1::AcquireTasksResponse acquired = worker_->Acquire(1, 10);
    EXPECT_THAT(acquired.lease_sets(), SizeIs(1));
    return acquired.lease_sets(0).grants(0);
  }

  v1::ReadLogRequest FollowRequest(const v1::Grant& grant) const {
    v1::ReadLogRequest request;
    request.set_job(job_);
    request.set_task(grant.lease().task());
    request.set_follow(true);
    return request;
  }

  // Beats until the server asks for the log; the request to follow it is on its way.
  v1::LogWish AwaitWish(const v1::Grant& grant) {
    for (int i = 0; i < 2000; ++i) {
      const v1::HeartbeatResponse answer = worker_->Heartbeat({grant.lease()});
      if (!answer.wanted_logs().empty()) return answer.wanted_logs(0);
    }
    ADD_FAILURE() << "the log is not wanted";
    return v1::LogWish();
  }

  v1::SendLogResponse Send(const v1::Grant& grant, int64_t offset, const std::string& data) {
    v1::SendLogRequest request;
    request.set_worker_id("w1");
    *request.mutable_lease() = grant.lease();
    request.set_offset(offset);
    request.set_data(data);
    v1::SendLogResponse response;
    EXPECT_THAT(FromGrpcStatus(workers_->SendLog(MakeContext().get(), request, &response)), IsOk());
    return response;
  }

  std::string job_;
  std::optional<ScriptedWorker> worker_;
};

TEST_F(ObservationTest, ALogIsFollowedLiveAndEndsFromItsArtifact) {
  const v1::Grant grant = Begin();
  EXPECT_TRUE(worker_->Heartbeat({grant.lease()}).wanted_logs().empty());
  EXPECT_FALSE(Send(grant, 0, "nobody reads this").wanted());

  const auto context = MakeContext();
  const auto reader = tasks_->ReadLog(context.get(), FollowRequest(grant));
  const v1::LogWish wish = AwaitWish(grant);
  EXPECT_EQ(wish.lease_id(), grant.lease().lease_id());
  EXPECT_EQ(wish.offset(), 0);
  // The finished log, see ScriptedWorker::MakeItem().
  const std::string whole = absl::StrCat("log of ", grant.lease().task(), "\n");
  const v1::SendLogResponse first = Send(grant, 0, whole.substr(0, 3));
  EXPECT_TRUE(first.wanted());
  EXPECT_EQ(first.next_offset(), 3);
  v1::ReadLogResponse chunk;
  ASSERT_TRUE(reader->Read(&chunk));
  EXPECT_EQ(chunk.data(), whole.substr(0, 3));
  EXPECT_EQ(chunk.attempt(), 1);
  // A piece that overlaps what was sent, and one that leaves a gap.
  EXPECT_EQ(Send(grant, 1, whole.substr(1, 4)).next_offset(), 5);
  EXPECT_EQ(Send(grant, 9, "gap").next_offset(), 5);
  ASSERT_TRUE(reader->Read(&chunk));
  EXPECT_EQ(chunk.offset(), 3);
  EXPECT_EQ(chunk.data(), whole.substr(3, 2));

  EXPECT_EQ(worker_->Complete(grant).code(), 0);
  std::string rest;
  while (reader->Read(&chunk)) rest += chunk.data();
  EXPECT_EQ(rest, whole.substr(5));
  EXPECT_THAT(FromGrpcStatus(reader->Finish()), IsOk());
  EXPECT_TRUE(worker_->Heartbeat({}).wanted_logs().empty());

  // After the fact, from an offset that was given while it ran.
  v1::ReadLogRequest later = FollowRequest(grant);
  later.set_follow(false);
  later.set_offset(3);
  const auto later_context = MakeContext();
  const auto again = tasks_->ReadLog(later_context.get(), later);
  ASSERT_TRUE(again->Read(&chunk));
  EXPECT_EQ(chunk.data(), whole.substr(3));
}

TEST_F(ObservationTest, FollowingSurvivesARestartOfTheServer) {
  const v1::Grant grant = Begin();
  {
    const auto context = MakeContext();
    const auto reader = tasks_->ReadLog(context.get(), FollowRequest(grant));
    AwaitWish(grant);
    StopServer();
    v1::ReadLogResponse chunk;
    EXPECT_FALSE(reader->Read(&chunk));
    EXPECT_THAT(FromGrpcStatus(reader->Finish()), StatusIs(absl::StatusCode::kUnavailable));
  }
  StartServer();
  worker_.emplace(*workers_, *artifacts_, "w1");
  worker_->Register({grant.lease()});
  const auto context = MakeContext();
  v1::ReadLogRequest request = FollowRequest(grant);
  request.set_offset(7);
  const auto reader = tasks_->ReadLog(context.get(), request);
  EXPECT_EQ(AwaitWish(grant).offset(), 7);
  context->TryCancel();
}

TEST_F(ObservationTest, AFollowerThatDoesNotReadHoldsAtMostItsBuffer) {
  const v1::Grant grant = Begin();
  const auto context = MakeContext();
  const auto reader = tasks_->ReadLog(context.get(), FollowRequest(grant));
  AwaitWish(grant);
  const std::string piece(64 << 10, 'x');
  int64_t taken = 0;
  for (int i = 0; i < 400; ++i) taken = Send(grant, taken, piece).next_offset();
  // gRPC itself buffers some of it; 25 MiB were offered.
  EXPECT_LT(taken, 8 << 20);
  context->TryCancel();
}

TEST_F(ObservationTest, AnUnknownTaskOrJobIsRefused) {
  const v1::Grant grant = Begin();
  v1::ReadLogRequest request = FollowRequest(grant);
  request.set_task("ghost");
  const auto context = MakeContext();
  const auto reader = tasks_->ReadLog(context.get(), request);
  v1::ReadLogResponse chunk;
  EXPECT_FALSE(reader->Read(&chunk));
  EXPECT_THAT(FromGrpcStatus(reader->Finish()), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ObservationTest, SeriesAreSeenWhileTheyGrow) {
  const v1::Grant grant = Begin();
  v1::HeartbeatRequest beat;
  beat.set_worker_id("w1");
  v1::LeaseProgress& progress = *beat.add_leases();
  *progress.mutable_lease() = grant.lease();
  progress.set_started(true);
  v1::HeartbeatResponse answer;
  const std::string lease = grant.lease().lease_id();
  ASSERT_THAT(FromGrpcStatus(workers_->Heartbeat(MakeContext().get(), beat, &answer)), IsOk());
  EXPECT_EQ(answer.points_known().at(lease), 0);
  for (int step = 0; step < 3; ++step) progress.add_points()->set_step(step);
  ASSERT_THAT(FromGrpcStatus(workers_->Heartbeat(MakeContext().get(), beat, &answer)), IsOk());
  EXPECT_EQ(answer.points_known().at(lease), 3);

  v1::ReadSeriesRequest request;
  request.set_job(job_);
  request.set_task(grant.lease().task());
  v1::ReadSeriesResponse series;
  ASSERT_THAT(FromGrpcStatus(tasks_->ReadSeries(MakeContext().get(), request, &series)), IsOk());
  EXPECT_TRUE(series.running());
  EXPECT_THAT(series.series().points(), SizeIs(3));

  EXPECT_EQ(worker_->Complete(grant).code(), 0);
  ASSERT_THAT(FromGrpcStatus(tasks_->ReadSeries(MakeContext().get(), request, &series)), IsOk());
  EXPECT_FALSE(series.running());
  EXPECT_THAT(series.series().points(), SizeIs(1));
}

TEST_F(ObservationTest, TheTraceOfAJobBelongsToItsCaller) {
  const std::string caller = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
  v1::CreateJobRequest create;
  *create.mutable_spec() = SmallSpec();
  create.set_request_id("r");
  const auto context = MakeContext();
  context->AddMetadata("traceparent", caller);
  v1::Job job;
  ASSERT_THAT(FromGrpcStatus(jobs_->CreateJob(context.get(), create, &job)), IsOk());
  ScriptedWorker worker(*workers_, *artifacts_, "w1");
  worker.Register();
  const v1::AcquireTasksResponse acquired = worker.Acquire(1, 10);
  ASSERT_THAT(acquired.lease_sets(), SizeIs(1));
  const v1::Grant& grant = acquired.lease_sets(0).grants(0);
  EXPECT_THAT(grant.traceparent(), StartsWith("00-0123456789abcdef0123456789abcdef-"));
  EXPECT_EQ(worker.Complete(grant).code(), 0);
  StopServer();
  StartServer();

  v1::GetTraceRequest request;
  request.set_job(job.id());
  v1::Trace trace;
  ASSERT_THAT(FromGrpcStatus(jobs_->GetTrace(MakeContext().get(), request, &trace)), IsOk());
  EXPECT_EQ(trace.trace_id(), "0123456789abcdef0123456789abcdef");
  std::map<std::string, v1::Span> by_id;
  for (const v1::Span& span : trace.spans()) by_id[span.span_id()] = span;
  const v1::Span& root = trace.spans(0);
  EXPECT_EQ(root.name(), "job");
  EXPECT_EQ(root.parent_span_id(), "0123456789abcdef");
  EXPECT_EQ(root.end_unix_nanos(), 0);
  const v1::Span& attempt = by_id.at(ParseTraceparent(grant.traceparent())->span_id);
  EXPECT_EQ(attempt.name(), "attempt 1");
  const v1::Span& task = by_id.at(attempt.parent_span_id());
  EXPECT_EQ(task.name(), grant.lease().task());
  EXPECT_EQ(task.parent_span_id(), root.span_id());
  EXPECT_GE(task.end_unix_nanos(), attempt.end_unix_nanos());
  EXPECT_LE(task.start_unix_nanos(), attempt.start_unix_nanos());
}

}  // namespace
}  // namespace distill::server
