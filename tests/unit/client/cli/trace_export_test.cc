// Exported traces are valid JSON of their format, and nest: a child lies within its parent, on the
// same row.
#include "client/cli/trace_export.h"

#include <map>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace distill::client {
namespace {

void Add(v1::Trace& trace, const std::string& name, const std::string& id,
         const std::string& parent, int64_t start, int64_t end) {
  v1::Span& span = *trace.add_spans();
  span.set_name(name);
  span.set_span_id(id);
  span.set_parent_span_id(parent);
  span.set_process(name == "train" ? "w1" : "server");
  span.set_start_unix_nanos(start);
  span.set_end_unix_nanos(end);
}

v1::Trace Example() {
  v1::Trace trace;
  trace.set_trace_id("0123456789abcdef0123456789abcdef");
  Add(trace, "job", "a", "caller", 1000, 0);
  Add(trace, "task-1", "b", "a", 2000, 9000);
  Add(trace, "task-2", "c", "a", 2000, 8000);
  Add(trace, "train", "e", "d", 3000, 4000);  // Before its parent.
  Add(trace, "attempt 1", "d", "b", 3000, 9000);
  trace.mutable_spans(4)->set_error("lost \"it\"\n\xFF");
  return trace;
}

TEST(TraceExportTest, ChromeRowsHoldATaskAndAllBelowIt) {
  const nlohmann::json json = nlohmann::json::parse(ToChromeTrace(Example()));
  std::map<std::string, nlohmann::json> spans;
  for (const nlohmann::json& event : json["traceEvents"]) {
    if (event["ph"] == "X") spans[event["name"]] = event;
  }
  ASSERT_EQ(spans.size(), 5u);
  EXPECT_EQ(spans["train"]["tid"], spans["task-1"]["tid"]);
  EXPECT_EQ(spans["attempt 1"]["tid"], spans["task-1"]["tid"]);
  EXPECT_NE(spans["task-2"]["tid"], spans["task-1"]["tid"]);
  EXPECT_EQ(spans["job"]["ts"], 0.0);
  EXPECT_EQ(spans["job"]["dur"], 8.0);  // Open: to the end of the last.
  EXPECT_EQ(spans["train"]["ts"], 2.0);
  EXPECT_EQ(spans["train"]["dur"], 1.0);
}

TEST(TraceExportTest, OtlpKeepsIdsAndProcesses) {
  const nlohmann::json json = nlohmann::json::parse(ToOtlpJson(Example()));
  ASSERT_EQ(json["resourceSpans"].size(), 2u);
  const nlohmann::json& server = json["resourceSpans"][0];
  EXPECT_EQ(server["resource"]["attributes"][0]["value"]["stringValue"], "distill-server");
  const nlohmann::json& spans = server["scopeSpans"][0]["spans"];
  ASSERT_EQ(spans.size(), 4u);
  EXPECT_EQ(spans[0]["traceId"], "0123456789abcdef0123456789abcdef");
  EXPECT_EQ(spans[0]["parentSpanId"], "caller");
  EXPECT_FALSE(spans[0].contains("endTimeUnixNano"));
  EXPECT_EQ(spans[1]["startTimeUnixNano"], "2000");
  EXPECT_EQ(spans[3]["status"]["code"], 2);
}

TEST(TraceExportTest, AnEmptyTraceIsValid) {
  EXPECT_TRUE(nlohmann::json::accept(ToChromeTrace(v1::Trace())));
  EXPECT_TRUE(nlohmann::json::accept(ToOtlpJson(v1::Trace())));
}

}  // namespace
}  // namespace distill::client
