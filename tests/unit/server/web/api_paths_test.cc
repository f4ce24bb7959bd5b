// How paths and parameters become requests, and errors become answers.
#include <map>
#include <string>

#include "distill/v1/job_service.pb.h"
#include "distill/v1/report.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/web/request_fields.h"
#include "server/web/series_thinning.h"
#include "server/web/web_call.h"
#include "server/web/web_errors.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

TEST(PathPatternTest, MatchesPartByPart) {
  const PathPattern pattern("jobs/{job}/tasks/{task}");
  std::map<std::string, std::string> values;
  EXPECT_TRUE(pattern.Matches("jobs/job-1/tasks/distill-module-0", values));
  EXPECT_THAT(values, ElementsAre(Pair("job", "job-1"), Pair("task", "distill-module-0")));
  for (const char* const other : {"", "jobs", "jobs/a/tasks", "jobs//tasks/b", "jobs/a/tasks/b/c",
                                  "jobs/a/task/b", "/jobs/a/tasks/b", "jobs/a/tasks/"}) {
    std::map<std::string, std::string> none;
    EXPECT_FALSE(pattern.Matches(other, none)) << other;
    EXPECT_TRUE(none.empty());
  }
}

TEST(RequestFieldsTest, SetsFieldsByName) {
  v1::ListJobsRequest request;
  EXPECT_THAT(
      SetFields({{"project", "-"}, {"page_size", "7"}, {"fields", "id,spec.project"}}, request),
      IsOk());
  EXPECT_EQ(request.project(), "-");
  EXPECT_EQ(request.page_size(), 7);
  EXPECT_THAT(request.read_mask().paths(), ElementsAre("id", "spec.project"));
  v1::WatchJobRequest watch;
  EXPECT_THAT(SetFields({{"after_revision", "9000000000"}, {"include_progress", "false"}}, watch),
              IsOk());
  EXPECT_EQ(watch.after_revision(), 9'000'000'000);
  EXPECT_FALSE(watch.include_progress());
}

TEST(RequestFieldsTest, NamesWhatItCannotRead) {
  v1::ListJobsRequest request;
  const auto refused = [&](const std::string& name, const std::string& value) {
    return SetField(name, value, request);
  };
  using absl::StatusCode;
  EXPECT_THAT(refused("colour", "red"),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("colour")));
  EXPECT_THAT(refused("page_size", "many"),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("page_size")));
  EXPECT_THAT(refused("page_size", "99999999999"),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("page_size")));
  EXPECT_THAT(refused("read_mask", "id"),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("read_mask")));
  v1::CancelJobRequest no_mask;
  EXPECT_THAT(SetField("fields", "id", no_mask),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("fields")));
}

// gRPC ends the process over metadata that it cannot send.
TEST(WebCallTest, RefusesCredentialsThatCannotBeSent) {
  EXPECT_THAT(CheckAuthorization(""), IsOk());
  EXPECT_THAT(CheckAuthorization("Bearer abc.DEF-123_~+/="), IsOk());
  for (const std::string& bad :
       {std::string("Bearer a\nb"), std::string("Bearer \x01"), std::string("Bearer \xc3\xa4"),
        std::string("Bearer a\0b", 10), std::string(5000, 'a')}) {
    EXPECT_THAT(CheckAuthorization(bad),
                StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("authorization")));
  }
}

TEST(WebErrorsTest, KeepCodeAndMessage) {
  const WebResponse missing = ErrorResponse(absl::NotFoundError("cannot find job: \"x\""));
  EXPECT_EQ(missing.status, 404);
  EXPECT_THAT(missing.body, HasSubstr("\"code\":5"));
  EXPECT_THAT(missing.body, HasSubstr("cannot find job: \\\"x\\\""));
  const WebResponse unknown = ErrorResponse(absl::UnauthenticatedError("cannot tell who calls"));
  EXPECT_EQ(unknown.status, 401);
  EXPECT_THAT(unknown.headers, ElementsAre(Pair("WWW-Authenticate", "Bearer")));
  EXPECT_EQ(HttpStatus(absl::StatusCode::kUnavailable), 503);
  EXPECT_EQ(HttpStatus(absl::StatusCode::kDataLoss), 500);
}

v1::Series SeriesOfSteps(int count) {
  v1::Series series;
  for (int i = 0; i < count; ++i) series.add_points()->set_step(10 * i);
  return series;
}

std::vector<int64_t> Steps(const v1::Series& series) {
  std::vector<int64_t> steps;
  for (const v1::Series::Point& point : series.points()) steps.push_back(point.step());
  return steps;
}

TEST(ThinSeriesTest, KeepsEndsAndEvenlyChosenPoints) {
  v1::Series series = SeriesOfSteps(101);
  ThinSeries(/*after_step=*/-1, /*most=*/5, series);
  EXPECT_THAT(Steps(series), ElementsAre(0, 250, 500, 750, 1000));
  series = SeriesOfSteps(4);
  ThinSeries(-1, 3, series);
  EXPECT_THAT(Steps(series), ElementsAre(0, 10, 30));
}

TEST(ThinSeriesTest, LeavesOutWhatIsKnown) {
  v1::Series series = SeriesOfSteps(4);
  ThinSeries(/*after_step=*/10, /*most=*/0, series);
  EXPECT_THAT(Steps(series), ElementsAre(20, 30));
  ThinSeries(30, 2, series);
  EXPECT_THAT(Steps(series), ElementsAre());
  ThinSeries(-1, 1, series);
  EXPECT_THAT(Steps(series), ElementsAre());
}

}  // namespace
}  // namespace distill::server
