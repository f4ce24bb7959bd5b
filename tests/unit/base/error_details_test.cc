// Details travel with a status through every layer, and the tail of a message becomes metadata.
#include "base/error_details.h"

#include "base/error_reasons.h"
#include "base/status_context.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distill {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST(ErrorDetailsTest, AStatusWithoutDetailsHasNone) {
  EXPECT_TRUE(DetailsOf(absl::NotFoundError("x")).empty());
  EXPECT_TRUE(DetailsOf(absl::OkStatus()).empty());
  EXPECT_EQ(ReasonOf(absl::NotFoundError("x")), "");
}

TEST(ErrorDetailsTest, EveryPartComesBack) {
  absl::Status status = WithReason(absl::FailedPreconditionError("no"), reason::kBlobMissing);
  status = WithPrecondition(status, "BLOB_MISSING", "sha256:12", "upload: it");
  status = WithQuota(status, "project:a", "");
  status = WithResource(status, "task", "j/t");
  status = WithRetryDelay(status, absl::Milliseconds(1500));
  const ErrorDetails details = DetailsOf(status);
  EXPECT_EQ(details.reason, "BLOB_MISSING");
  EXPECT_THAT(details.preconditions,
              ElementsAre(ErrorViolation{"BLOB_MISSING", "sha256:12", "upload: it"}));
  EXPECT_THAT(details.quotas, ElementsAre(ErrorViolation{"", "project:a", ""}));
  EXPECT_EQ(details.resource_type, "task");
  EXPECT_EQ(details.resource_name, "j/t");
  EXPECT_EQ(details.retry_delay, absl::Milliseconds(1500));
}

TEST(ErrorDetailsTest, AddedContextKeepsThem) {
  const absl::Status status = WithReason(absl::AbortedError("lost"), reason::kConflict);
  EXPECT_EQ(ReasonOf(Annotate(status, "cannot publish")), "CONFLICT");
}

TEST(ErrorDetailsTest, OkStaysOk) {
  EXPECT_TRUE(WithReason(absl::OkStatus(), reason::kConflict).ok());
  EXPECT_TRUE(WithDetails(absl::OkStatus(), ErrorDetails()).ok());
}

TEST(ErrorDetailsTest, FieldsGetAPrefix) {
  ErrorDetails details;
  details.fields = {{"", "modules", "got 0"}};
  const absl::Status status =
      WithFieldPrefix(WithDetails(absl::InvalidArgumentError("no"), details), "spec.");
  EXPECT_EQ(DetailsOf(status).fields[0].subject, "spec.modules");
}

TEST(ErrorDetailsTest, TheTailOfAMessageIsMetadata) {
  EXPECT_THAT(MetadataOfMessage("cannot x: y; do z; task=j/t attempt=2"),
              ElementsAre(Pair("attempt", "2"), Pair("task", "j/t")));
  EXPECT_THAT(MetadataOfMessage("cannot x: y"), IsEmpty());
  EXPECT_THAT(MetadataOfMessage("cannot x: y; retry later"), IsEmpty());
  EXPECT_THAT(MetadataOfMessage("cannot x: y; Set=1"), IsEmpty());
  EXPECT_THAT(MetadataOfMessage("cannot x: y; "), IsEmpty());
}

}  // namespace
}  // namespace distill
