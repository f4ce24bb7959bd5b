// What is compiled in: small, self-contained, and safe to show.
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/web/static_files.h"
#include "server/web/summary.h"

namespace distill::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr size_t kMostBytes = 200'000;

TEST(StaticFilesTest, WeighLessThanTheLimit) {
  size_t bytes = 0;
  for (const StaticFile& file : StaticFiles()) bytes += file.content.size();
  EXPECT_LT(bytes, kMostBytes);
  EXPECT_GT(bytes, 0u);
}

// The content policy would stop it anyway; here it is found before somebody sees a dead page.
TEST(StaticFilesTest, HaveNothingInlineAndNothingFromElsewhere) {
  for (const StaticFile& file : StaticFiles()) {
    SCOPED_TRACE(std::string(file.name));
    const std::string text(file.content);
    for (const char* const forbidden :
         {"https://", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(",
          "new Function", "style=\"", "onclick=\"", "localStorage"}) {
      EXPECT_THAT(text, Not(HasSubstr(forbidden)));
    }
  }
}

TEST(StaticFilesTest, AllThatIsNamedIsThere) {
  std::string all;
  for (const StaticFile& file : StaticFiles()) absl::StrAppend(&all, file.content);
  for (const StaticFile& file : StaticFiles()) {
    if (file.name == "index.html") continue;
    EXPECT_TRUE(absl::StrContains(all, absl::StrCat("static/", file.name)) ||
                absl::StrContains(all, absl::StrCat("'./", file.name, "'")))
        << "nothing asks for " << file.name;
  }
}

// Names are chosen by people.
TEST(SummaryTest, EscapesTextOfPeople) {
  v1::ListJobsResponse jobs;
  v1::Job& job = *jobs.add_jobs();
  job.set_id("job-1");
  job.mutable_spec()->set_display_name("<script>alert('1')</script> & \"co\"");
  job.set_state(v1::JOB_STATE_RUNNING);
  job.set_tasks_total(9);
  job.set_tasks_succeeded(4);
  v1::ListWorkersResponse workers;
  v1::Worker& worker = *workers.add_workers();
  worker.mutable_info()->set_worker_id("w<1>");
  worker.set_state(v1::WORKER_STATE_BUSY);
  EXPECT_THAT(SummaryOf(jobs, workers),
              AllOf(Not(HasSubstr("<script")), HasSubstr("&lt;script&gt;"),
                    HasSubstr("&amp; &quot;co&quot;"), HasSubstr("<td>running</td>"),
                    HasSubstr("4 of 9"), HasSubstr("w&lt;1&gt;"), HasSubstr("<td>busy</td>")));
  EXPECT_THAT(SummaryOfError(absl::UnauthenticatedError("who are <you>?")),
              HasSubstr("who are &lt;you&gt;?"));
}

}  // namespace
}  // namespace distill::server
