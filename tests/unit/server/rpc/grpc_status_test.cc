// Errors on the wire: what is sent is what is read, every error says why, and none outgrows what
// gRPC clients accept.
#include "proto/status/grpc_status.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/error_details.h"
#include "base/error_reasons.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "gtest/gtest.h"

namespace distill {
namespace {

using ::testing::Contains;
using ::testing::Pair;

absl::Status RoundTrip(const absl::Status& status) { return FromGrpcStatus(ToGrpcStatus(status)); }

TEST(GrpcStatusTest, DetailsComeBack) {
  absl::Status sent = WithReason(
      absl::FailedPreconditionError("cannot complete: not uploaded; task=j/t"), "BLOB_MISSING");
  sent = WithPrecondition(sent, "BLOB_MISSING", "sha256:1", "upload it");
  sent = WithQuota(sent, "server", "a bound");
  sent = WithResource(sent, "task", "j/t");
  sent = WithRetryDelay(sent, absl::Milliseconds(2500));
  const absl::Status got = RoundTrip(sent);
  EXPECT_EQ(got.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(got.message(), sent.message());
  const ErrorDetails details = DetailsOf(got);
  EXPECT_EQ(details.reason, "BLOB_MISSING");
  EXPECT_THAT(details.metadata, Contains(Pair("task", "j/t")));
  EXPECT_EQ(details.preconditions, DetailsOf(sent).preconditions);
  EXPECT_EQ(details.quotas, DetailsOf(sent).quotas);
  EXPECT_EQ(details.resource_name, "j/t");
  EXPECT_EQ(details.retry_delay, absl::Milliseconds(2500));
}

TEST(GrpcStatusTest, EveryErrorHasAReason) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "x");
    EXPECT_NE(ReasonOf(RoundTrip(status)), "") << code;
    EXPECT_EQ(ReasonOf(RoundTrip(status)), WireReason(status));
  }
  EXPECT_EQ(ReasonOf(RoundTrip(absl::UnavailableError("x"))), reason::kServerUnavailable);
  EXPECT_EQ(DetailsOf(RoundTrip(absl::UnavailableError("x"))).retry_delay, absl::Seconds(1));
  EXPECT_EQ(DetailsOf(RoundTrip(absl::NotFoundError("x"))).retry_delay, std::nullopt);
}

TEST(GrpcStatusTest, OkHasNothing) {
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_EQ(ToGrpcStatus(absl::OkStatus()).error_details(), "");
  EXPECT_TRUE(RoundTrip(absl::OkStatus()).ok());
}

// A client drops an answer with more than 8 KiB of metadata, and then knows nothing at all.
TEST(GrpcStatusTest, StaysBelowTheMetadataLimit) {
  ErrorDetails details;
  for (int i = 0; i < 100; ++i) {
    details.fields.push_back({"", absl::StrCat("field", i), std::string(300, 'x')});
    details.preconditions.push_back({"T", std::string(300, 'y'), "z"});
    details.metadata[absl::StrCat("key", i)] = std::string(600, 'm');
  }
  const grpc::Status status =
      ToGrpcStatus(WithDetails(absl::InvalidArgumentError(std::string(9000, 'a')), details));
  EXPECT_LE(status.error_message().size() + status.error_details().size() * 4 / 3, 7800u);
  const absl::Status got = FromGrpcStatus(status);
  EXPECT_EQ(ReasonOf(got), reason::kInvalidRequest);
}

TEST(GrpcStatusTest, MessagesAreNotCutWithinACharacter) {
  std::string message(2047, 'a');
  message += "\xC3\xA9";  // An e with an accent would be cut in two.
  EXPECT_EQ(ToGrpcStatus(absl::InternalError(message)).error_message().size(), 2047u);
}

TEST(GrpcStatusTest, DetailsThatAreNoMessageAreIgnored) {
  const absl::Status got =
      FromGrpcStatus(grpc::Status(grpc::StatusCode::ABORTED, "no", "\xFF\xFF\xFF"));
  EXPECT_EQ(got, absl::AbortedError("no"));
}

}  // namespace
}  // namespace distill
