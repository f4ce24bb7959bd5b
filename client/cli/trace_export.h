// Writes a trace in the forms that other programs read.
#pragma once

#include <string>

#include "distill/v1/trace.pb.h"

namespace distill::client {

// The trace event format of Chrome, for chrome://tracing and ui.perfetto.dev: one row per task,
// with its attempts and what their workers did below. A span that is still open ends with the last
// one.
std::string ToChromeTrace(const v1::Trace& trace);

// OTLP/JSON, what an OpenTelemetry collector takes at /v1/traces. Open spans have no end.
std::string ToOtlpJson(const v1::Trace& trace);

}  // namespace distill::client
