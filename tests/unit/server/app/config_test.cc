// Flags: defaults are sound, bounds hold, addresses parse.
#include "server/app/config.h"

#include <limits>
#include <string>

#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::testing::HasSubstr;

TEST(ConfigTest, DefaultsAreSoundOnceThereIsADataDirectory) {
  ServerConfig config;
  EXPECT_THAT(ValidateConfig(config),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--data-dir")));
  config.data_dir = "/tmp/x";
  EXPECT_THAT(ValidateConfig(config), IsOk());
}

TEST(ConfigTest, FlagsAreRead) {
  const char* arguments[] = {"distill-server", "--data-dir=/d",     "--listen=127.0.0.1:0",
                             "--http=none",    "--lease-seconds=5", "--print-config"};
  const CommandLine line = ParseCommandLine(6, arguments);
  EXPECT_EQ(line.action, CommandLine::Action::kPrintConfig);
  EXPECT_EQ(line.config.http, "");
  EXPECT_THAT(PrintConfig(line.config),
              testing::AllOf(HasSubstr("data-dir = /d\n"), HasSubstr("lease-seconds = 5\n")));
}

TEST(ConfigTest, AFileGivesSettingsAndFlagsWin) {
  const std::string path = testing::TempDir() + "/config_test.conf";
  ASSERT_THAT(WriteFileAtomically(path,
                                  "# A comment.\n"
                                  "data-dir = /d\n"
                                  "lease-seconds = 7\n"
                                  "heartbeat-seconds = 1\n"
                                  "insecure-allow-plaintext = true\n"
                                  "postgres = \"host=db dbname=x\"\n"
                                  "dataset-root = [\"/a\", \"/b c\"]\n"),
              IsOk());
  const std::string flag = "--config=" + path;
  const char* arguments[] = {"distill-server", flag.c_str(), "--lease-seconds=9"};
  const CommandLine line = ParseCommandLine(3, arguments);
  EXPECT_EQ(line.action, CommandLine::Action::kServe);
  EXPECT_EQ(line.config.data_dir, "/d");
  EXPECT_EQ(line.config.lease_seconds, 9);
  EXPECT_EQ(line.config.heartbeat_seconds, 1);
  EXPECT_TRUE(line.config.insecure_allow_plaintext);
  EXPECT_EQ(line.config.postgres, "host=db dbname=x");
  EXPECT_THAT(line.config.dataset_roots, testing::ElementsAre("/a", "/b c"));
}

TEST(ConfigTest, AFileWithAnUnknownSettingIsAUsageError) {
  const std::string path = testing::TempDir() + "/config_test_unknown.conf";
  ASSERT_THAT(WriteFileAtomically(path, "data-dir = /d\nleese-seconds = 7\n"), IsOk());
  const std::string flag = "--config=" + path;
  const char* arguments[] = {"distill-server", flag.c_str()};
  EXPECT_EQ(ParseCommandLine(2, arguments).exit_code, 2);
  const char* absent[] = {"distill-server", "--config=/no/such/file"};
  EXPECT_EQ(ParseCommandLine(2, absent).exit_code, 2);
}

TEST(ConfigTest, AnUnknownFlagIsAUsageError) {
  const char* arguments[] = {"distill-server", "--data-dir=/d", "--lissten=x"};
  const CommandLine line = ParseCommandLine(3, arguments);
  EXPECT_EQ(line.action, CommandLine::Action::kExit);
  EXPECT_EQ(line.exit_code, 2);
}

TEST(ConfigTest, NumbersOutOfBoundsAreNamed) {
  ServerConfig config;
  config.data_dir = "/tmp/x";
  config.lease_seconds = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(ValidateConfig(config),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--lease-seconds: got nan")));
  config.lease_seconds = 3;
  config.heartbeat_seconds = 2;
  EXPECT_THAT(ValidateConfig(config), StatusIs(absl::StatusCode::kInvalidArgument,
                                               HasSubstr("--heartbeat-seconds: got 2")));
  config.heartbeat_seconds = 1;
  config.max_retry_backoff_seconds = 0;
  EXPECT_THAT(ValidateConfig(config), StatusIs(absl::StatusCode::kInvalidArgument,
                                               HasSubstr("--max-retry-backoff-seconds: got 0")));
}

TEST(ConfigTest, PostgresNeedsAConnectionString) {
  ServerConfig config;
  config.data_dir = "/tmp/x";
  config.state = "postgres";
  EXPECT_THAT(ValidateConfig(config),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--postgres: got nothing")));
  config.postgres = "host=db dbname=distill";
  EXPECT_THAT(ValidateConfig(config), IsOk());
  config.advertise = "server-a";
  EXPECT_THAT(ValidateConfig(config),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--advertise")));
  config.advertise = "server-a:7700";
  EXPECT_THAT(ValidateConfig(config), IsOk());
  config.state = "sqlite";
  EXPECT_THAT(ValidateConfig(config),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--state=postgres only")));
}

TEST(ConfigTest, AddressesParse) {
  EXPECT_EQ(ParseHostPort("127.0.0.1:70")->port, 70);
  EXPECT_EQ(ParseHostPort("[::1]:7")->host, "::1");
  for (const char* bad : {"", ":1", "host", "host:", "host:x", "host:65536", "host:-1"}) {
    EXPECT_THAT(ParseHostPort(bad), StatusIs(absl::StatusCode::kInvalidArgument)) << bad;
  }
}

}  // namespace
}  // namespace distill::server
