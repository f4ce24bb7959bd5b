#include "client/cli/trace_export.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace distill::client {
namespace {

// Keeps the order in which members are written.
using Json = nlohmann::ordered_json;

// Bytes that are no UTF-8 must not keep a trace from being written.
std::string Dump(const Json& json) {
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

double Microseconds(int64_t nanos) { return static_cast<double>(nanos) / 1000.0; }

// Row of each span: the job has one, each child of the job begins one, others join their parent's.
std::map<std::string, int> RowsOf(const v1::Trace& trace) {
  std::map<std::string, int> rows;
  int last = 0;
  // A parent that starts with its child may come after it, so spans are gone over until all that
  // can be placed are.
  bool placed = true;
  while (placed) {
    placed = false;
    for (const v1::Span& span : trace.spans()) {
      if (rows.count(span.span_id()) != 0) continue;
      const auto parent = rows.find(span.parent_span_id());
      const bool is_root = span.name() == "job";
      if (!is_root && parent == rows.end()) continue;
      rows[span.span_id()] = is_root ? 0 : (parent->second == 0 ? ++last : parent->second);
      placed = true;
    }
  }
  return rows;
}

Json Arguments(const v1::Span& span) {
  Json arguments = Json::object();
  arguments["process"] = span.process();
  // In a fixed order; the map of the message has none.
  const std::map<std::string, std::string> attributes(span.attributes().begin(),
                                                      span.attributes().end());
  for (const auto& [key, value] : attributes) arguments[key] = value;
  if (!span.error().empty()) arguments["error"] = span.error();
  return arguments;
}

Json OtlpAttribute(const std::string& key, const std::string& value) {
  return {{"key", key}, {"value", {{"stringValue", value}}}};
}

Json OtlpSpan(const v1::Trace& trace, const v1::Span& span) {
  constexpr int kInternal = 1;
  constexpr int kError = 2;
  Json json;
  json["traceId"] = trace.trace_id();
  json["spanId"] = span.span_id();
  if (!span.parent_span_id().empty()) json["parentSpanId"] = span.parent_span_id();
  json["name"] = span.name();
  json["kind"] = kInternal;
  json["startTimeUnixNano"] = absl::StrCat(span.start_unix_nanos());
  if (span.end_unix_nanos() != 0) json["endTimeUnixNano"] = absl::StrCat(span.end_unix_nanos());
  json["attributes"] = Json::array();
  const std::map<std::string, std::string> attributes(span.attributes().begin(),
                                                      span.attributes().end());
  for (const auto& [key, value] : attributes) {
    json["attributes"].push_back(OtlpAttribute(absl::StrCat("distill.", key), value));
  }
  if (!span.error().empty()) json["status"] = {{"code", kError}, {"message", span.error()}};
  return json;
}

}  // namespace

std::string ToChromeTrace(const v1::Trace& trace) {
  int64_t first = INT64_MAX;
  int64_t last = 0;
  for (const v1::Span& span : trace.spans()) {
    first = std::min(first, span.start_unix_nanos());
    last = std::max({last, span.start_unix_nanos(), span.end_unix_nanos()});
  }
  const std::map<std::string, int> rows = RowsOf(trace);
  Json events = Json::array();
  std::map<int, std::string> names;
  for (const v1::Span& span : trace.spans()) {
    const auto row = rows.find(span.span_id());
    if (row == rows.end()) continue;  // Of an attempt that was left out.
    names.emplace(row->second, span.name());
    const int64_t end = span.end_unix_nanos() == 0 ? last : span.end_unix_nanos();
    events.push_back({{"name", span.name()},
                      {"ph", "X"},
                      {"ts", Microseconds(span.start_unix_nanos() - first)},
                      {"dur", Microseconds(std::max<int64_t>(end - span.start_unix_nanos(), 0))},
                      {"pid", 1},
                      {"tid", row->second},
                      {"args", Arguments(span)}});
  }
  for (const auto& [row, name] : names) {
    events.push_back({{"name", "thread_name"},
                      {"ph", "M"},
                      {"pid", 1},
                      {"tid", row},
                      {"args", {{"name", name}}}});
  }
  Json json;
  json["displayTimeUnit"] = "ms";
  json["otherData"] = {{"trace_id", trace.trace_id()},
                       {"dropped_spans", trace.dropped_spans()},
                       {"start_unix_nanos", absl::StrCat(trace.spans().empty() ? 0 : first)}};
  json["traceEvents"] = std::move(events);
  return Dump(json);
}

std::string ToOtlpJson(const v1::Trace& trace) {
  std::map<std::string, Json> spans_of;
  for (const v1::Span& span : trace.spans()) {
    spans_of.try_emplace(span.process(), Json::array())
        .first->second.push_back(OtlpSpan(trace, span));
  }
  Json json;
  json["resourceSpans"] = Json::array();
  for (auto& [process, spans] : spans_of) {
    const bool is_server = process == "server";
    Json resource;
    resource["attributes"] =
        Json::array({OtlpAttribute("service.name", is_server ? "distill-server" : "distill-worker"),
                     OtlpAttribute("service.instance.id", process)});
    Json scope;
    scope["scope"] = {{"name", "distillery"}};
    scope["spans"] = std::move(spans);
    json["resourceSpans"].push_back(
        {{"resource", std::move(resource)}, {"scopeSpans", Json::array({std::move(scope)})}});
  }
  return Dump(json);
}

}  // namespace distill::client
