#include "server/auth/audit_log.h"

#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "tests/support/simulated_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill::server {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class AuditLogTest : public ::testing::Test {
 protected:
  static AuditEntry Entry(int number) {
    AuditEntry entry;
    entry.caller = "user/alice";
    entry.peer = "ipv4:10.0.0.7:5";
    entry.method = "CancelJob";
    entry.resource = absl::StrCat("job=job-", number);
    entry.result = absl::PermissionDeniedError("no");
    return entry;
  }
  std::vector<nlohmann::json> Lines(const std::string& path) const {
    std::vector<nlohmann::json> lines;
    const std::string text = ReadFile(path).value();
    for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
      lines.push_back(nlohmann::json::parse(std::string(line)));
    }
    return lines;
  }

  TempDir directory_;
  SimulatedClock clock_;
  AuditLog::Config config_ = {directory_.Join("audit.jsonl"), 64 << 20, 2, 4};
};

TEST_F(AuditLogTest, KeepsOneLineForEachEntryAcrossRestarts) {
  for (int start = 0; start < 2; ++start) {
    const auto log = AuditLog::Open(config_, clock_).value();
    for (int i = 0; i < 100; ++i) log->Append(Entry(i));  // More than the queue holds.
    log->Flush();
  }
  const std::vector<nlohmann::json> lines = Lines(config_.path);
  ASSERT_THAT(lines, SizeIs(200));
  EXPECT_EQ(lines[107]["resource"], "job=job-7");
  EXPECT_EQ(lines[107]["code"], "PERMISSION_DENIED");
  EXPECT_EQ(lines[107]["caller"], "user/alice");
}

TEST_F(AuditLogTest, IsForItsOwnerAlone) {
  const auto log = AuditLog::Open(config_, clock_).value();
  struct stat info = {};
  ASSERT_EQ(stat(config_.path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
}

TEST_F(AuditLogTest, SetsFullFilesAsideAndForgetsTheOldest) {
  config_.max_file_bytes = 1024;
  const auto log = AuditLog::Open(config_, clock_).value();
  for (int i = 0; i < 100; ++i) log->Append(Entry(i));
  log->Flush();
  EXPECT_THAT(ListDirectory(directory_.path()), IsOkAndHolds(SizeIs(3)));
  int expected = 99;
  for (const char* suffix : {"", ".1", ".2"}) {
    const std::string path = absl::StrCat(config_.path, suffix);
    EXPECT_LE(FileSize(path).value(), 1024u);
    const std::vector<nlohmann::json> lines = Lines(path);
    for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
      EXPECT_EQ((*line)["resource"], absl::StrCat("job=job-", expected--));
    }
  }
}

// What callers choose cannot forge lines, nor break the file for those who parse it.
TEST_F(AuditLogTest, HostileTextsStayInTheirField) {
  const auto log = AuditLog::Open(config_, clock_).value();
  AuditEntry entry = Entry(1);
  entry.resource = "job=x\"}\n{\"caller\":\"forged\xff\xfe";
  entry.request_id = std::string(100'000, 'a');
  log->Append(entry);
  log->Flush();
  const std::vector<nlohmann::json> lines = Lines(config_.path);
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_EQ(lines[0]["caller"], "user/alice");
  EXPECT_THAT(lines[0]["request_id"].get<std::string>(), SizeIs(1024));
}

// Nobody whom nobody knows pushes what others did out of the files.
TEST_F(AuditLogTest, CountsStrangersInsteadOfKeepingThemAll) {
  config_.max_strangers_per_minute = 3;
  const auto log = AuditLog::Open(config_, clock_).value();
  AuditEntry stranger = Entry(0);
  stranger.caller.clear();
  for (int i = 0; i < 10; ++i) log->Append(stranger);
  log->Append(Entry(1));
  log->Flush();
  ASSERT_THAT(Lines(config_.path), SizeIs(4));
  EXPECT_EQ(Lines(config_.path)[3]["caller"], "user/alice");
  clock_.Advance(absl::Minutes(1));
  log->Append(stranger);
  log->Flush();
  const std::vector<nlohmann::json> lines = Lines(config_.path);
  ASSERT_THAT(lines, SizeIs(6));
  EXPECT_THAT(lines[4]["message"].get<std::string>(), HasSubstr("count=7"));
  EXPECT_EQ(lines[5]["method"], "CancelJob");
}

TEST_F(AuditLogTest, DoesNotFollowALink) {
  ASSERT_EQ(symlink("/dev/null", config_.path.c_str()), 0);
  EXPECT_FALSE(AuditLog::Open(config_, clock_).ok());
}

}  // namespace
}  // namespace distill::server
