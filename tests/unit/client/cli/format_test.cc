#include "client/cli/format.h"

#include <cmath>

#include "client/cli/exit_code.h"
#include "gmock/gmock.h"

namespace distill::client {
namespace {

TEST(FormatTest, Durations) {
  EXPECT_EQ(FormatSeconds(4.24), "4.2 s");
  EXPECT_EQ(FormatSeconds(187), "3:07");
  EXPECT_EQ(FormatSeconds(7387), "2:03:07");
  EXPECT_EQ(FormatSeconds(-1), "-");
  EXPECT_EQ(FormatSeconds(std::nan("")), "-");
}

TEST(FormatTest, NamesOfTasks) {
  EXPECT_EQ(ShortTaskName("projects/p/jobs/job-1/tasks/fit-prior"), "job-1/fit-prior");
  EXPECT_EQ(ShortTaskName("job-1/fit-prior"), "job-1/fit-prior");
}

TEST(FormatTest, NamesOfArtifactTypes) {
  EXPECT_EQ(ArtifactTypeName(v1::ARTIFACT_TYPE_METRICS), "metrics");
  EXPECT_EQ(ArtifactTypeName(v1::ARTIFACT_TYPE_UNSPECIFIED), "-");
}

TEST(FormatTest, Bytes) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(int64_t{3} << 30), "3.0 GiB");
}

TEST(FormatTest, Counts) {
  EXPECT_EQ(FormatCount(853.4), "853");
  EXPECT_EQ(FormatCount(5120), "5.1k");
  EXPECT_EQ(FormatCount(2.5e6), "2.5M");
  EXPECT_EQ(FormatCount(std::nan("")), "-");
}

TEST(FormatTest, Times) {
  google::protobuf::Timestamp timestamp;
  EXPECT_EQ(FormatTime(timestamp), "-");
  timestamp.set_seconds(1767225600);
  EXPECT_EQ(FormatTime(timestamp), "2026-01-01T00:00:00Z");
}

TEST(FormatTest, StatesKnownAndUnknown) {
  EXPECT_EQ(StateName(v1::JOB_STATE_CANCELLING), "cancelling");
  EXPECT_EQ(StateName(v1::TASK_STATE_QUEUED), "queued");
  EXPECT_EQ(StateName(v1::WORKER_STATE_LOST), "lost");
  EXPECT_EQ(StateName(static_cast<v1::TaskState>(77)), "state 77");
}

// Scripts branch on these numbers; docs/cli.md lists them.
TEST(ExitCodeTest, EachKindOfErrorHasItsNumber) {
  const auto code = [](absl::StatusCode status) {
    return static_cast<int>(ExitCodeOf(absl::Status(status, "x")));
  };
  EXPECT_EQ(code(absl::StatusCode::kInternal), 1);
  EXPECT_EQ(code(absl::StatusCode::kFailedPrecondition), 1);
  EXPECT_EQ(code(absl::StatusCode::kNotFound), 3);
  EXPECT_EQ(code(absl::StatusCode::kUnauthenticated), 4);
  EXPECT_EQ(code(absl::StatusCode::kPermissionDenied), 4);
  EXPECT_EQ(code(absl::StatusCode::kInvalidArgument), 5);
  EXPECT_EQ(code(absl::StatusCode::kResourceExhausted), 6);
  EXPECT_EQ(code(absl::StatusCode::kUnavailable), 7);
  EXPECT_EQ(code(absl::StatusCode::kDeadlineExceeded), 7);
  EXPECT_EQ(code(absl::StatusCode::kCancelled), 8);
  EXPECT_EQ(static_cast<int>(ExitCodeOf(v1::JOB_STATE_SUCCEEDED)), 0);
  EXPECT_EQ(static_cast<int>(ExitCodeOf(v1::JOB_STATE_FAILED)), 1);
  EXPECT_EQ(static_cast<int>(ExitCodeOf(v1::JOB_STATE_CANCELLED)), 8);
}

}  // namespace
}  // namespace distill::client
