// The status page over HTTP: what browsers get is what the API says, live and after a break.
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/status/grpc_status.h"
#include "tests/integration/server/server_fixture.h"
#include "tests/support/http_client.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr absl::string_view kOk = "HTTP/1.1 200";

class StatusPageTest : public ServerTest {
 protected:
  int Port() const { return PortOf(server_->http_address()); }
  std::string Get(const std::string& target, const std::string& headers = "") const {
    return HttpGet(Port(), target, headers);
  }
  std::string Api(const std::string& path) const { return Get(absl::StrCat("/api/v1/", path)); }

  std::string Submit() {
    v1::JobSpec spec = SmallSpec();
    spec.set_display_name("<b>named</b>");
    return Create(spec, "r")->id();
  }

  // Completes every task of the only job.
  void FinishJob(const std::string& job) {
    ScriptedWorker worker(*workers_, *artifacts_, "w1");
    worker.Register();
    worker.CompleteTasks(GetJob(job)->tasks_total());
  }

  static std::string EventsRequest(const std::string& path, const std::string& headers = "") {
    return absl::StrCat("GET /api/v1/", path, " HTTP/1.1\r\nHost: localhost\r\n", headers, "\r\n");
  }
};

// Of a text/event-stream, in order.
std::vector<int64_t> Ids(const std::string& stream) {
  std::vector<int64_t> ids;
  for (const absl::string_view line : absl::StrSplit(stream, '\n')) {
    int64_t id = 0;
    if (absl::StartsWith(line, "id: ") && absl::SimpleAtoi(line.substr(4), &id)) ids.push_back(id);
  }
  return ids;
}

TEST_F(StatusPageTest, PageIsServedWithASummaryAndAPolicy) {
  const std::string job = Submit();
  const std::string page = Get("/");
  EXPECT_THAT(page, AllOf(StartsWith(std::string(kOk)), HasSubstr("script-src 'self'"),
                          HasSubstr("nosniff"), HasSubstr(job),
                          HasSubstr("&lt;b&gt;named&lt;/b&gt;"), Not(HasSubstr("<b>named"))));
  const std::string script = Get("/static/main.js");
  EXPECT_THAT(script, AllOf(StartsWith(std::string(kOk)), HasSubstr("text/javascript")));
  const size_t etag = script.find("ETag: ") + 6;
  EXPECT_THAT(
      Get("/static/main.js", absl::StrCat("If-None-Match: ", script.substr(etag, 18), "\r\n")),
      StartsWith("HTTP/1.1 304"));
  for (const char* const missing :
       {"/static/", "/static/index.html", "/static/../main.js", "/nothing"}) {
    EXPECT_THAT(Get(missing), StartsWith("HTTP/1.1 404")) << missing;
  }
}

TEST_F(StatusPageTest, AnswersAreThoseOfTheApi) {
  const std::string job = Submit();
  EXPECT_THAT(Api("jobs?project=-&fields=id"), AllOf(StartsWith(std::string(kOk)), HasSubstr(job)));
  EXPECT_THAT(Api(absl::StrCat("jobs/", job)), HasSubstr("\"state\":\"JOB_STATE_RUNNING\""));
  const std::string tasks = Api(absl::StrCat("jobs/", job, "/tasks?fields=id,state"));
  EXPECT_THAT(tasks, AllOf(HasSubstr("\"id\":\"pretrain-meta\""), HasSubstr("TASK_STATE_QUEUED")));
  EXPECT_THAT(Api(absl::StrCat("jobs/", job, "/tasks/pretrain-meta/explain")),
              HasSubstr("WAIT_REASON_NO_WORKER"));
  EXPECT_THAT(Api(absl::StrCat("jobs/", job, "/report")), HasSubstr("\"markdown\":\"# Report"));
  // No curve yet is no error; a task that is not there is one.
  EXPECT_THAT(Api(absl::StrCat("jobs/", job, "/tasks/pretrain-meta/series?max_points=10")),
              AllOf(StartsWith(std::string(kOk)), HasSubstr("\"running\":false")));
  EXPECT_THAT(Api(absl::StrCat("jobs/", job, "/tasks/none/series")), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Api("workers"), HasSubstr("\"workers\":[]"));
  EXPECT_THAT(Api("datasets"), HasSubstr("\"datasets\":[]"));
}

TEST_F(StatusPageTest, BadRequestsAreToldSo) {
  EXPECT_THAT(Api("jobs/none"), AllOf(StartsWith("HTTP/1.1 404"), HasSubstr("\"code\":5")));
  EXPECT_THAT(Api("jobs/none/events"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Api("jobs?page_size=x"), AllOf(StartsWith("HTTP/1.1 400"), HasSubstr("page_size")));
  EXPECT_THAT(Api("jobs?colour=red"), AllOf(StartsWith("HTTP/1.1 400"), HasSubstr("colour")));
  EXPECT_THAT(Api("overview/events?colour=red"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(Api("artifacts/sha256:12"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(Api("secrets"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Get("/api/v1/jobs", "Authorization: Bearer \x01\r\n"), StartsWith("HTTP/1.1 401"));
  HttpConnection post(Port(), "POST /api/v1/jobs HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}");
  EXPECT_THAT(post.ReadAll(), Not(StartsWith(std::string(kOk))));
}

// Each change once, in order of revision; a browser that comes back goes on where it was.
TEST_F(StatusPageTest, EventsOfAJobAreThoseOfItsWatchAndResume) {
  const std::string job = Submit();
  const std::string path = absl::StrCat("jobs/", job, "/events");
  HttpConnection live(Port(), EventsRequest(path));
  EXPECT_THAT(live.ReadUntil("event: task"), HasSubstr("text/event-stream"));
  FinishJob(job);
  const std::string& all = live.ReadAll();
  EXPECT_THAT(all, HasSubstr("event: end\n"));
  EXPECT_THAT(all, Not(HasSubstr("\"spec\":{\"display_name\"")));
  std::vector<int64_t> revisions;
  for (const v1::JobEvent& event : WatchToEnd(job, 0)) {
    if (event.revision() > 0) revisions.push_back(event.revision());
  }
  EXPECT_EQ(Ids(all), revisions);
  const size_t half = revisions.size() / 2;
  HttpConnection resumed(
      Port(), EventsRequest(path, absl::StrCat("Last-Event-ID: ", revisions[half - 1], "\r\n")));
  EXPECT_EQ(
      Ids(resumed.ReadAll()),
      std::vector<int64_t>(revisions.begin() + static_cast<ptrdiff_t>(half), revisions.end()));
}

TEST_F(StatusPageTest, OverviewTellsOfNewJobsAndWorkers) {
  HttpConnection overview(Port(), EventsRequest("overview/events?queue=true"));
  EXPECT_THAT(overview.ReadUntil("\n\n"), HasSubstr("event: overview"));
  const std::string job = Submit();
  EXPECT_THAT(overview.ReadUntil(job), HasSubstr(job));
  EXPECT_THAT(overview.ReadUntil("\"waiting_reason\":\"no"), HasSubstr("pretrain-meta"));
  ScriptedWorker worker(*workers_, *artifacts_, "worker-7");
  worker.Register();
  EXPECT_THAT(overview.ReadUntil("worker-7"), HasSubstr("\"slots_in_use\":0"));
}

// Numbers are shown; what a browser might run or mistake is only for saving.
TEST_F(StatusPageTest, ContentHasASafeType) {
  const std::string job = Submit();
  FinishJob(job);
  const auto content = [&](const std::string& task, const std::string& output) {
    v1::GetTaskRequest request;
    request.set_job(job);
    request.set_task(task);
    v1::Task found;
    EXPECT_THAT(FromGrpcStatus(tasks_->GetTask(MakeContext().get(), request, &found)), IsOk());
    for (const v1::ArtifactRef& ref : found.results()) {
      if (ref.name() == output) return Api(absl::StrCat("artifacts/", ref.digest(), "/content"));
    }
    return std::string("no such output");
  };
  EXPECT_THAT(content("evaluate-meta", "metrics"),
              AllOf(StartsWith(std::string(kOk)), HasSubstr("application/json"),
                    HasSubstr("nosniff"), HasSubstr("\"accuracy\":0.75")));
  EXPECT_THAT(content("pretrain-meta", "model"),
              AllOf(StartsWith(std::string(kOk)), HasSubstr("application/octet-stream"),
                    HasSubstr("Content-Disposition: attachment"), HasSubstr("weights of")));
  EXPECT_THAT(Api(absl::StrCat("jobs/", job, "/artifacts")), HasSubstr("\"output\":\"metrics\""));
}

// A server that stops does not wait for browsers, and they come back.
TEST_F(StatusPageTest, StopEndsStreams) {
  const std::string job = Submit();
  HttpConnection events(Port(), EventsRequest(absl::StrCat("jobs/", job, "/events")));
  HttpConnection overview(Port(), EventsRequest("overview/events"));
  events.ReadUntil("event: task");
  overview.ReadUntil("event: overview");
  StopServer();
  events.ReadAll();
  overview.ReadAll();
  StartServer();
  EXPECT_THAT(Api(absl::StrCat("jobs/", job)), StartsWith(std::string(kOk)));
}

}  // namespace
}  // namespace distill::server
