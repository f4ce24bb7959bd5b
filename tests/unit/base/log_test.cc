#include "base/log.h"

#include <string>

#include "base/error_details.h"
#include "gmock/gmock.h"
#include "nlohmann/json.hpp"

namespace distill {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

class LogTest : public ::testing::Test {
 protected:
  void TearDown() override { ConfigureLog(LogSeverity::kInfo, LogFormat::kText); }
};

TEST_F(LogTest, WritesTimeSeverityMessageAndFields) {
  ::testing::internal::CaptureStderr();
  LogWarning("lease expired", {{"task", "job-1/distill-2"}, {"attempt", 3}});
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z "
                           "W lease expired task=job-1/distill-2 attempt=3\n"));
}

// A value with line breaks must not be able to forge a second line.
TEST_F(LogTest, QuotesValuesThatCouldBeMisread) {
  ::testing::internal::CaptureStderr();
  LogError("failed", {{"why", "a b\n\"c\""}, {"none", ""}, {"status", absl::NotFoundError("x")}});
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("E failed why=\"a b\\n\\\"c\\\"\" none=\"\" status=\"NOT_FOUND: x\"\n"));
}

TEST_F(LogTest, DropsWhatIsLessThanConfigured) {
  ConfigureLog(LogSeverity::kWarning, LogFormat::kText);
  ::testing::internal::CaptureStderr();
  LogDebug("a");
  LogInfo("b");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST_F(LogTest, WritesOneJsonObjectALine) {
  ConfigureLog(LogSeverity::kDebug, LogFormat::kJson);
  ::testing::internal::CaptureStderr();
  LogDebug("odd \"bytes\"", {{"value", "tab\tbell\x07\\"}});
  const nlohmann::json line = nlohmann::json::parse(::testing::internal::GetCapturedStderr());
  EXPECT_EQ(line["severity"], "debug");
  EXPECT_EQ(line["message"], "odd \"bytes\"");
  EXPECT_EQ(line["value"], "tab\tbell\x07\\");
}

TEST_F(LogTest, ScopesAddTheirFieldsToLinesOfTheirThread) {
  ConfigureLog(LogSeverity::kInfo, LogFormat::kJson);
  ::testing::internal::CaptureStderr();
  {
    const LogScope outer({{"job", "j"}, {"trace", "t"}});
    const LogScope inner({{"task", "a"}});
    LogInfo("x", {{"job", "own"}});
  }
  const nlohmann::json line = nlohmann::json::parse(::testing::internal::GetCapturedStderr());
  EXPECT_EQ(line["job"], "own");
  EXPECT_EQ(line["trace"], "t");
  EXPECT_EQ(line["task"], "a");
  ::testing::internal::CaptureStderr();
  LogInfo("x");
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), Not(HasSubstr("task")));
}

// Details are for programs; in a log they would be noise.
TEST_F(LogTest, DetailsOfAStatusAreLeftOut) {
  ::testing::internal::CaptureStderr();
  LogInfo("x", {{"error", WithReason(absl::AbortedError("y"), "SOME_REASON")}});
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("error=\"ABORTED: y\"\n"));
}

}  // namespace
}  // namespace distill
