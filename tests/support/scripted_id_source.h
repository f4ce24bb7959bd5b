// Identifiers that a test can predict.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "base/random_ids.h"

namespace distill {

// Returns the scripted texts in order, whatever their length, and then the numbers 1, 2, 3, ... as
// hex digits of the asked length. Thread-safe.
class ScriptedIdSource : public IdSource {
 public:
  explicit ScriptedIdSource(const std::vector<std::string>& script = {});

  std::string RandomHex(int bytes) override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  Mutex mu_;
  std::deque<std::string> script_ ABSL_GUARDED_BY(mu_);
  int next_number_ ABSL_GUARDED_BY(mu_) = 1;
};

}  // namespace distill
