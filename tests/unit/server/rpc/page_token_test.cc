// Page tokens are opaque, and good only for the list that they came from.
#include "server/rpc/page_token.h"

#include <string>

#include "base/error_details.h"
#include "base/error_reasons.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

const PageScope kTasksOfA{"tasks", "a"};

TEST(PageTokenTest, LeadsBackToThePosition) {
  EXPECT_THAT(ReadPageToken(kTasksOfA, MakePageToken(kTasksOfA, "w-7")), IsOkAndHolds("w-7"));
  EXPECT_THAT(ReadNumericPageToken(kTasksOfA, MakePageToken(kTasksOfA, "12"), -1),
              IsOkAndHolds(12));
}

TEST(PageTokenTest, AnEmptyTokenIsTheBeginning) {
  EXPECT_THAT(ReadPageToken(kTasksOfA, ""), IsOkAndHolds(""));
  EXPECT_THAT(ReadNumericPageToken(kTasksOfA, "", -1), IsOkAndHolds(-1));
}

TEST(PageTokenTest, FitsNoOtherListOrFilter) {
  const std::string token = MakePageToken(kTasksOfA, "12");
  for (const PageScope& other : {PageScope{"tasks", "b"}, PageScope{"jobs", "a"}}) {
    const absl::Status refused = ReadPageToken(other, token).status();
    EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_EQ(ReasonOf(refused), reason::kPageTokenInvalid);
    EXPECT_EQ(DetailsOf(refused).fields[0].subject, "page_token");
  }
}

TEST(PageTokenTest, NonsenseIsRefused) {
  for (const std::string token : {"12", "!!", "AAAA", "MS4uMTI="}) {
    EXPECT_THAT(ReadPageToken(kTasksOfA, token), StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(ReadNumericPageToken(kTasksOfA, MakePageToken(kTasksOfA, "-4"), 0),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ReadNumericPageToken(kTasksOfA, MakePageToken(kTasksOfA, "x"), 0),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace distill::server
