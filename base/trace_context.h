// W3C trace context: which trace something belongs to, and below which span. Ids of our own spans
// are functions of what they are about (a job, a lease), so that every process that knows the
// subject knows the id, without being told.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace distill {

// A value. Lower-case hex: 32 digits and 16 digits, neither all zero.
struct TraceContext {
  std::string trace_id;
  std::string span_id;

  // "00-{trace_id}-{span_id}-01".
  std::string ToTraceparent() const;
};

// Reads the value of a `traceparent` header; later versions of the header too. Nothing when it is
// not one: a broken context is dropped, as W3C asks, not refused.
std::optional<TraceContext> ParseTraceparent(absl::string_view text);

// Returns the id of the span about `subject`, such as "lease 3f2a...".
std::string SpanIdOf(absl::string_view subject);
// Returns a trace id for what came without one.
std::string TraceIdOf(absl::string_view subject);

}  // namespace distill
