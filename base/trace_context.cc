#include "base/trace_context.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/digest.h"

namespace distill {
namespace {

constexpr size_t kTraceDigits = 32;
constexpr size_t kSpanDigits = 16;
constexpr size_t kVersionZeroLength = 2 + 1 + kTraceDigits + 1 + kSpanDigits + 1 + 2;

bool IsId(absl::string_view text) {
  bool any = false;
  for (const char c : text) {
    if (!absl::ascii_isdigit(c) && (c < 'a' || c > 'f')) return false;
    any = any || c != '0';
  }
  return any;
}

std::string HexOf(absl::string_view subject, size_t digits) {
  constexpr size_t kAlgorithmPrefix = 7;  // "sha256:"
  return Digest::OfBytes(subject).str().substr(kAlgorithmPrefix, digits);
}

}  // namespace

std::string TraceContext::ToTraceparent() const {
  return absl::StrCat("00-", trace_id, "-", span_id, "-01");
}

std::optional<TraceContext> ParseTraceparent(absl::string_view text) {
  if (text.size() < kVersionZeroLength) return std::nullopt;
  const absl::string_view version = text.substr(0, 2);
  if (version == "ff" || (version == "00" && text.size() != kVersionZeroLength)) {
    return std::nullopt;
  }
  if (text[2] != '-' || text[3 + kTraceDigits] != '-' || text[52] != '-') return std::nullopt;
  TraceContext context;
  context.trace_id = std::string(text.substr(3, kTraceDigits));
  context.span_id = std::string(text.substr(4 + kTraceDigits, kSpanDigits));
  if (!IsId(context.trace_id) || !IsId(context.span_id)) return std::nullopt;
  return context;
}

std::string SpanIdOf(absl::string_view subject) { return HexOf(subject, kSpanDigits); }

std::string TraceIdOf(absl::string_view subject) { return HexOf(subject, kTraceDigits); }

}  // namespace distill
