// What a trainer wrote to its standard output and error while it ran one lease set. Bounded: its
// beginning and the end are kept, and what falls between is counted.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace distill::worker {

// Not thread-safe.
class AttemptLog {
 public:
  struct Config {
    int64_t max_head_bytes = 1 << 20;
    int64_t max_tail_bytes = 64 << 10;
  };

  explicit AttemptLog(Config config) : config_(config) {}

  void Append(absl::string_view bytes);
  // Starts over, for the next lease set of a warm trainer.
  void Clear();
  // Returns the last line that is not blank, at most 500 characters; "" when there is none.
  std::string LastLine() const;
  // Returns all that is kept.
  std::string Text() const;

 private:
  const Config config_;
  std::string head_;
  std::string tail_;
  int64_t dropped_bytes_ = 0;
};

}  // namespace distill::worker
