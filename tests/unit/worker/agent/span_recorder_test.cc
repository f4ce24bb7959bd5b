// Spans of an attempt nest, are bounded, and follow what the trainer reports.
#include "worker/agent/span_recorder.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/simulated_clock.h"

namespace distill::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kTraceparent[] = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";

std::vector<std::string> NamesOf(const v1::AttemptSpans& spans) {
  std::vector<std::string> names;
  for (const v1::Span& span : spans.spans()) names.push_back(span.name());
  return names;
}

TEST(SpanRecorderTest, SpansNestAndEnd) {
  SimulatedClock clock;
  SpanRecorder recorder(clock, kTraceparent);
  recorder.Begin("outer");
  clock.Advance(absl::Seconds(1));
  recorder.Begin("inner");
  recorder.Attribute("bytes", "12");
  clock.Advance(absl::Seconds(2));
  recorder.End(absl::NotFoundError("gone"));
  clock.Advance(absl::Seconds(1));
  const v1::AttemptSpans spans = recorder.Finish();
  ASSERT_THAT(NamesOf(spans), ElementsAre("outer", "inner"));
  const v1::Span& outer = spans.spans(0);
  const v1::Span& inner = spans.spans(1);
  EXPECT_EQ(outer.parent_span_id(), "0123456789abcdef");
  EXPECT_EQ(inner.parent_span_id(), outer.span_id());
  EXPECT_EQ(inner.end_unix_nanos() - inner.start_unix_nanos(), 2'000'000'000);
  EXPECT_EQ(outer.end_unix_nanos() - outer.start_unix_nanos(), 4'000'000'000);
  EXPECT_EQ(inner.error(), "gone");
  EXPECT_EQ(inner.attributes().at("bytes"), "12");
}

TEST(SpanRecorderTest, WithoutATraceNothingIsRecorded) {
  SimulatedClock clock;
  SpanRecorder recorder(clock, "");
  recorder.Begin("x");
  recorder.OnProgress("training", 1, 2, 3);
  recorder.End();
  EXPECT_THAT(recorder.Finish().spans(), IsEmpty());
}

TEST(SpanRecorderTest, PhasesAndEpochsBecomeSpans) {
  SimulatedClock clock;
  SpanRecorder recorder(clock, kTraceparent);
  recorder.OnProgress("loading data", 0, 0, 2);
  for (int step = 0; step <= 10; ++step) recorder.OnProgress("training", step, 10, 2);
  recorder.OnProgress("evaluating", 10, 10, 2);
  recorder.OnProgress("", 0, 0, 0);
  recorder.Begin("upload");
  const v1::AttemptSpans spans = recorder.Finish();
  EXPECT_THAT(NamesOf(spans), ElementsAre("loading data", "training", "train epoch 1",
                                          "train epoch 2", "evaluating", "upload"));
  EXPECT_EQ(spans.spans(2).parent_span_id(), spans.spans(1).span_id());
  EXPECT_EQ(spans.spans(4).parent_span_id(), "0123456789abcdef");
  EXPECT_EQ(spans.spans(5).parent_span_id(), "0123456789abcdef");
  for (const v1::Span& span : spans.spans()) EXPECT_NE(span.end_unix_nanos(), 0) << span.name();
}

TEST(SpanRecorderTest, ManyEpochsShareSpans) {
  SimulatedClock clock;
  SpanRecorder recorder(clock, kTraceparent);
  for (int step = 0; step < 1000; ++step) recorder.OnProgress("training", step, 1000, 1000);
  const v1::AttemptSpans spans = recorder.Finish();
  EXPECT_EQ(spans.spans_size(), 101);
  EXPECT_EQ(spans.spans(100).name(), "train epochs 991 to 1000");
}

TEST(SpanRecorderTest, SpansAreBounded) {
  SimulatedClock clock;
  SpanRecorder recorder(clock, kTraceparent);
  for (int i = 0; i < 1500; ++i) {
    recorder.Begin("x");
    recorder.End();
  }
  const v1::AttemptSpans spans = recorder.Finish();
  EXPECT_EQ(spans.spans_size(), 1000);
  EXPECT_EQ(spans.dropped_spans(), 500);
}

}  // namespace
}  // namespace distill::worker
