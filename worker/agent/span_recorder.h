// Records what an attempt does on its worker, for the job's trace. Spans follow each other or lie
// within each other; a bounded number is kept.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "distill/v1/trace.pb.h"

namespace distill::worker {

// Thread-compatible: passed from thread to thread with the attempt.
class SpanRecorder {
 public:
  // `traceparent` names the span of the attempt; without a good one nothing is recorded. The clock
  // must outlive this.
  SpanRecorder(const Clock& clock, absl::string_view traceparent);

  // Begins a span within the one that is open.
  void Begin(absl::string_view name);
  // Ends the innermost open span.
  void End(const absl::Status& status = absl::OkStatus());
  // Adds something to the innermost open span.
  void Attribute(absl::string_view key, absl::string_view value);

  // Tells how far training is. A new phase ends the one before; within "training" each epoch (or
  // few, when there are many) is a span.
  void OnProgress(absl::string_view phase, int64_t step, int64_t total_steps, double epochs);

  // Ends what is open and returns all.
  v1::AttemptSpans Finish();

 private:
  int64_t NowNanos() const { return absl::ToUnixNanos(clock_->WallNow()); }
  void EndDownTo(size_t depth);

  const Clock* clock_;
  std::string attempt_span_;  // Empty: nothing is recorded.
  v1::AttemptSpans spans_;
  int64_t begun_ = 0;
  // Indices into spans_, innermost last; -1 for one that there was no room for.
  std::vector<int> open_;
  std::string phase_;
  size_t phase_depth_ = 0;  // Of open_, with the phase's span.
  int64_t epoch_group_ = -1;
};

}  // namespace distill::worker
