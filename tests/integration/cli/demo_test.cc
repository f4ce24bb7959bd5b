// `distill demo` with the real server, workers and trainers: the smallest job, twice.
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "nlohmann/json.hpp"
#include "tests/integration/cli/command_runner.h"
#include "tests/support/temp_dir.h"

namespace distill::client {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

class DemoTest : public ::testing::Test {
 protected:
  DemoTest() { runner_.program_directory = Variable("DISTILL_BIN_DIR"); }

  CommandResult Demo(const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {
        "demo", "--job", absl::StrCat(Variable("DISTILL_SOURCE_DIR"), "/deploy/jobs/tiny.yaml"),
        "--data-dir", data_.path()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return runner_.Run(arguments);
  }

  const TempDir data_;
  CommandRunner runner_;
};

TEST_F(DemoTest, RunsTheWholePipelineAndReusesItTheSecondTime) {
  const CommandResult first = Demo({});
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_THAT(first.out, StartsWith("# Report: tiny"));
  EXPECT_THAT(first.out, HasSubstr("| baseline B1 |"));
  const CommandResult second = Demo({"-o", "json"});
  ASSERT_EQ(second.code, 0) << second.err;
  const auto report = nlohmann::json::parse(second.out);
  EXPECT_EQ(report["job"]["tasks_reused"], report["job"]["tasks_total"]);
  EXPECT_TRUE(
      FileExists(absl::StrCat(data_.path(), "/reports/", report["job"]["id"].get<std::string>(),
                              "/series/pretrain-meta.csv")));
}

TEST_F(DemoTest, AnImpossibleJobStartsNothingAndIsExplained) {
  const CommandResult result = Demo({"--set", "teacher.depth=5"});
  EXPECT_EQ(result.code, 5);
  EXPECT_THAT(result.err, HasSubstr("teacher.depth"));
}

}  // namespace
}  // namespace distill::client
