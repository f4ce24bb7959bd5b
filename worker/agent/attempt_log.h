// What a trainer wrote to its standard output and error while it ran one lease set. Bounded: its
// beginning and the end are kept, and what falls between is counted. The beginning can be read
// while it grows; it is, byte for byte, how the finished text begins.
#pragma once

#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "base/mutex.h"

namespace distill::worker {

// Thread-safe.
class AttemptLog {
 public:
  struct Config {
    int64_t max_head_bytes = 4 << 20;
    int64_t max_tail_bytes = 64 << 10;
  };

  explicit AttemptLog(Config config) : config_(config) {}

  void Append(absl::string_view bytes) ABSL_LOCKS_EXCLUDED(mu_);
  // Returns the last line that is not blank, at most 500 characters; "" when there is none.
  std::string LastLine() const ABSL_LOCKS_EXCLUDED(mu_);
  // Returns all that is kept.
  std::string Text() const ABSL_LOCKS_EXCLUDED(mu_);
  // Returns at most `most` bytes of Text() from `offset` on, as far as they will not change any
  // more; "" when there are none yet.
  std::string Read(int64_t offset, size_t most) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  const Config config_;
  mutable Mutex mu_;
  std::string head_ ABSL_GUARDED_BY(mu_);
  std::string tail_ ABSL_GUARDED_BY(mu_);
  int64_t dropped_bytes_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace distill::worker
