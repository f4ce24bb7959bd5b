// W3C trace context: what is read, what is dropped, and ids that are functions of their subject.
#include "base/trace_context.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distill {
namespace {

using ::testing::MatchesRegex;

constexpr char kGood[] = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";

TEST(TraceContextTest, ReadsWhatItWrites) {
  const std::optional<TraceContext> context = ParseTraceparent(kGood);
  ASSERT_TRUE(context.has_value());
  EXPECT_EQ(context->trace_id, "0123456789abcdef0123456789abcdef");
  EXPECT_EQ(context->span_id, "0123456789abcdef");
  EXPECT_EQ(context->ToTraceparent(), kGood);
}

TEST(TraceContextTest, LaterVersionsMayBeLonger) {
  EXPECT_TRUE(
      ParseTraceparent("01-0123456789abcdef0123456789abcdef-0123456789abcdef-01-x").has_value());
  EXPECT_FALSE(
      ParseTraceparent("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01-x").has_value());
  EXPECT_FALSE(
      ParseTraceparent("ff-0123456789abcdef0123456789abcdef-0123456789abcdef-01").has_value());
}

TEST(TraceContextTest, BrokenOnesAreDropped) {
  for (const char* text : {"", "x", "00-0123456789ABCDEF0123456789abcdef-0123456789abcdef-01",
                           "00-00000000000000000000000000000000-0123456789abcdef-01",
                           "00-0123456789abcdef0123456789abcdef-0000000000000000-01",
                           "00_0123456789abcdef0123456789abcdef_0123456789abcdef_01"}) {
    EXPECT_FALSE(ParseTraceparent(text).has_value()) << text;
  }
}

TEST(TraceContextTest, IdsFollowFromTheirSubject) {
  EXPECT_THAT(SpanIdOf("lease a"), MatchesRegex("[0-9a-f]{16}"));
  EXPECT_THAT(TraceIdOf("job a"), MatchesRegex("[0-9a-f]{32}"));
  EXPECT_EQ(SpanIdOf("lease a"), SpanIdOf("lease a"));
  EXPECT_NE(SpanIdOf("lease a"), SpanIdOf("lease b"));
}

}  // namespace
}  // namespace distill
