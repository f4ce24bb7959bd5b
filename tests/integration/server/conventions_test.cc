// What holds for all calls of the API (docs/protocol.md): errors that programs can act on, pages,
// read masks, repeated and outdated changes, and a server that does not wait for idle clients.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/error_details.h"
#include "base/error_reasons.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/status/grpc_status.h"
#include "tests/integration/server/server_fixture.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::testing::Contains;
using ::testing::SizeIs;

class ConventionsTest : public ServerTest {
 protected:
  absl::Status Cancel(const std::string& job, const std::string& request_id,
                      const std::string& etag = "") {
    v1::CancelJobRequest request;
    request.set_job(job);
    request.set_request_id(request_id);
    request.set_etag(etag);
    v1::Job response;
    return FromGrpcStatus(jobs_->CancelJob(MakeContext().get(), request, &response));
  }
};

TEST_F(ConventionsTest, WrongFieldsAreNamedOneByOne) {
  v1::JobSpec spec = SmallSpec();
  spec.set_modules(0);
  spec.set_project("a/b");
  const ErrorDetails details = DetailsOf(Create(spec, "r").status());
  EXPECT_EQ(details.reason, reason::kInvalidRequest);
  std::vector<std::string> paths;
  for (const ErrorViolation& field : details.fields) paths.push_back(field.subject);
  EXPECT_THAT(paths, Contains("spec.modules"));
  EXPECT_THAT(paths, Contains("spec.project"));
}

TEST_F(ConventionsTest, WhatIsNotThereIsNamed) {
  const ErrorDetails details = DetailsOf(GetJob("job-ghost").status());
  EXPECT_EQ(details.reason, reason::kResourceNotFound);
  EXPECT_EQ(details.resource_type, "job");
  EXPECT_EQ(details.resource_name, "job-ghost");
}

// A worker must tell "somebody else has the task" from "upload that blob again".
TEST_F(ConventionsTest, CompletionsAreRefusedForTwoReasons) {
  const v1::Job job = *Create(SmallSpec(), "r");
  ScriptedWorker worker(*workers_, *artifacts_, "w1");
  worker.Register();
  const v1::AcquireTasksResponse acquired = worker.Acquire(1, 10);
  ASSERT_THAT(acquired.lease_sets(), SizeIs(1));
  v1::CompleteAttemptsRequest::Item item = worker.MakeItem(acquired.lease_sets(0).grants(0));
  const std::string digest = item.results(0).digest();
  item.mutable_results(0)->set_digest("sha256:" + std::string(64, 'a'));
  EXPECT_EQ(worker.CompleteItem(item).reason(), reason::kBlobMissing);
  item.mutable_results(0)->set_digest(digest);
  item.mutable_lease()->set_lease_id("another");
  const v1::ItemStatus lost = worker.CompleteItem(item);
  EXPECT_EQ(lost.reason(), reason::kLeaseLost);
  EXPECT_EQ(lost.metadata().count("task"), 1u);
}

TEST_F(ConventionsTest, ARequestIdIsGoodForOneChange) {
  const v1::Job first = *Create(SmallSpec(), "r1");
  const v1::Job second = *Create(SmallSpec(), "r2");
  EXPECT_THAT(Cancel(first.id(), "c1"), IsOk());
  EXPECT_THAT(Cancel(first.id(), "c1"), IsOk());
  const absl::Status refused = Cancel(second.id(), "c1");
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_EQ(ReasonOf(refused), reason::kRequestIdReused);
  StopServer();
  StartServer();
  EXPECT_THAT(Cancel(first.id(), "c1"), IsOk());
  EXPECT_EQ(ReasonOf(Cancel(second.id(), "c1")), reason::kRequestIdReused);
  EXPECT_EQ(GetJob(second.id())->state(), v1::JOB_STATE_RUNNING);
}

TEST_F(ConventionsTest, AnOutdatedEtagIsRefused) {
  const v1::Job job = *Create(SmallSpec(), "r");
  ASSERT_NE(job.etag(), "");
  EXPECT_EQ(ReasonOf(Cancel(job.id(), "c1", "r1000000")), reason::kEtagMismatch);
  EXPECT_EQ(ReasonOf(Cancel(job.id(), "c2", "nonsense")), reason::kEtagMismatch);
  EXPECT_EQ(GetJob(job.id())->state(), v1::JOB_STATE_RUNNING);
  EXPECT_THAT(Cancel(job.id(), "c3", job.etag()), IsOk());
  EXPECT_NE(GetJob(job.id())->etag(), job.etag());
  // The first of two equal calls won; its repeat must not be told that it was too late.
  EXPECT_THAT(Cancel(job.id(), "c3", job.etag()), IsOk());
}

TEST_F(ConventionsTest, ReadMasksLeaveTheRestOut) {
  const v1::Job job = *Create(SmallSpec(), "r");
  v1::GetJobRequest request;
  request.set_job(job.id());
  request.mutable_read_mask()->add_paths("id");
  request.mutable_read_mask()->add_paths("spec.modules");
  v1::Job masked;
  ASSERT_THAT(FromGrpcStatus(jobs_->GetJob(MakeContext().get(), request, &masked)), IsOk());
  v1::Job expected;
  expected.set_id(job.id());
  expected.mutable_spec()->set_modules(2);
  EXPECT_EQ(masked.SerializeAsString(), expected.SerializeAsString());

  request.mutable_read_mask()->add_paths("colour");
  const absl::Status refused = FromGrpcStatus(jobs_->GetJob(MakeContext().get(), request, &masked));
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(DetailsOf(refused).fields[0].subject, "read_mask");

  v1::ListTasksRequest list;
  list.set_job(job.id());
  list.mutable_read_mask()->add_paths("id");
  v1::ListTasksResponse tasks;
  ASSERT_THAT(FromGrpcStatus(tasks_->ListTasks(MakeContext().get(), list, &tasks)), IsOk());
  ASSERT_GT(tasks.tasks_size(), 3);
  EXPECT_NE(tasks.tasks(0).id(), "");
  EXPECT_FALSE(tasks.tasks(0).has_spec());
}

// Entries that come between two pages neither repeat nor hide others.
TEST_F(ConventionsTest, PagesAreStableWhileJobsCome) {
  std::vector<std::string> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(Create(SmallSpec(), absl::StrCat("r", i))->id());
  v1::ListJobsRequest request;
  request.set_page_size(2);
  std::vector<std::string> seen;
  do {
    v1::ListJobsResponse page;
    ASSERT_THAT(FromGrpcStatus(jobs_->ListJobs(MakeContext().get(), request, &page)), IsOk());
    for (const v1::Job& job : page.jobs()) seen.push_back(job.id());
    request.set_page_token(page.next_page_token());
    ASSERT_THAT(Create(SmallSpec(), absl::StrCat("more", seen.size())), IsOk());
  } while (!request.page_token().empty());
  EXPECT_EQ(seen, std::vector<std::string>(ids.rbegin(), ids.rend()));
}

TEST_F(ConventionsTest, APageTokenFitsOnlyItsList) {
  for (int i = 0; i < 2; ++i) Create(SmallSpec(), absl::StrCat("r", i)).status().IgnoreError();
  v1::ListJobsRequest request;
  request.set_page_size(1);
  v1::ListJobsResponse page;
  ASSERT_THAT(FromGrpcStatus(jobs_->ListJobs(MakeContext().get(), request, &page)), IsOk());
  request.set_page_token(page.next_page_token());
  request.set_project("another");
  EXPECT_EQ(ReasonOf(FromGrpcStatus(jobs_->ListJobs(MakeContext().get(), request, &page))),
            reason::kPageTokenInvalid);
}

// This process polls none of its idle connections, so it would not see the server's goodbye.
TEST_F(ConventionsTest, AStoppingServerDoesNotWaitForIdleClients) {
  ASSERT_THAT(Create(SmallSpec(), "r"), IsOk());
  const MonotonicTime start = clock_.Now();
  StopServer();
  EXPECT_LT(clock_.Now() - start, absl::Seconds(2));
}

}  // namespace
}  // namespace distill::server
