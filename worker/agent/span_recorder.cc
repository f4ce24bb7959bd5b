#include "worker/agent/span_recorder.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/trace_context.h"

namespace distill::worker {
namespace {

constexpr int kMostSpans = 1000;
constexpr int64_t kMostEpochSpans = 100;
constexpr char kTraining[] = "training";

}  // namespace

SpanRecorder::SpanRecorder(const Clock& clock, absl::string_view traceparent) : clock_(&clock) {
  const std::optional<TraceContext> context = ParseTraceparent(traceparent);
  if (context.has_value()) attempt_span_ = context->span_id;
}

void SpanRecorder::Begin(absl::string_view name) {
  if (attempt_span_.empty()) return;
  const int64_t number = begun_++;
  if (spans_.spans_size() >= kMostSpans) {
    spans_.set_dropped_spans(spans_.dropped_spans() + 1);
    open_.push_back(-1);
    return;
  }
  std::string parent = attempt_span_;
  for (const int index : open_) {
    if (index >= 0) parent = spans_.spans(index).span_id();
  }
  v1::Span& span = *spans_.add_spans();
  span.set_span_id(SpanIdOf(absl::StrCat(attempt_span_, "/", number)));
  span.set_parent_span_id(parent);
  span.set_name(std::string(name));
  span.set_start_unix_nanos(NowNanos());
  open_.push_back(spans_.spans_size() - 1);
}

void SpanRecorder::End(const absl::Status& status) {
  if (open_.empty()) return;
  const int index = open_.back();
  open_.pop_back();
  if (index < 0) return;
  v1::Span& span = *spans_.mutable_spans(index);
  // A wall clock may be set back.
  span.set_end_unix_nanos(std::max(NowNanos(), span.start_unix_nanos()));
  if (!status.ok()) span.set_error(std::string(status.message()));
}

void SpanRecorder::Attribute(absl::string_view key, absl::string_view value) {
  if (open_.empty() || open_.back() < 0) return;
  (*spans_.mutable_spans(open_.back())->mutable_attributes())[std::string(key)] =
      std::string(value);
}

void SpanRecorder::EndDownTo(size_t depth) {
  while (open_.size() > depth) End();
}

void SpanRecorder::OnProgress(absl::string_view phase, int64_t step, int64_t total_steps,
                              double epochs) {
  if (attempt_span_.empty()) return;
  if (phase != phase_) {
    if (!phase_.empty()) EndDownTo(phase_depth_ - 1);
    phase_ = std::string(phase);
    epoch_group_ = -1;
    if (phase_.empty()) return;
    Begin(phase_);
    phase_depth_ = open_.size();
  }
  if (phase_ != kTraining || total_steps <= 0 || !(epochs >= 1)) return;
  const auto last_epoch = static_cast<int64_t>(std::ceil(epochs));
  const int64_t per_span = (last_epoch + kMostEpochSpans - 1) / kMostEpochSpans;
  const double done = epochs * static_cast<double>(step) / static_cast<double>(total_steps);
  const int64_t group = std::min(static_cast<int64_t>(done), last_epoch - 1) / per_span;
  if (group == epoch_group_) return;
  EndDownTo(phase_depth_);
  epoch_group_ = group;
  const int64_t first = group * per_span + 1;
  const int64_t last = std::min(first + per_span - 1, last_epoch);
  Begin(first == last ? absl::StrCat("train epoch ", first)
                      : absl::StrCat("train epochs ", first, " to ", last));
}

v1::AttemptSpans SpanRecorder::Finish() {
  EndDownTo(0);
  return spans_;
}

}  // namespace distill::worker
