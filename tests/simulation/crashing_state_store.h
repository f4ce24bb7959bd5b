// A store that outlives the server and can be told to die in the middle of a commit: before
// anything was kept, or after everything was kept but before the server learned of it.
#pragma once

#include <cstdint>

#include "storage/state/memory_state_store.h"

namespace distill {

class CrashingStateStore : public storage::MemoryStateStore {
 public:
  enum class Crash : int8_t { kNone, kBefore, kAfter };

  // The next commit crashes. Until Restart() nothing is written any more.
  void CrashNextCommit(Crash crash) { armed_ = crash; }
  void Restart() { crashed_ = false; }

  absl::Status Commit(absl::Span<const storage::Mutation> mutations) override {
    if (crashed_) return absl::FailedPreconditionError("crashed");
    const Crash crash = armed_;
    armed_ = Crash::kNone;
    if (crash != Crash::kBefore) {
      absl::Status status = MemoryStateStore::Commit(mutations);
      if (crash == Crash::kNone || !status.ok()) return status;
    }
    crashed_ = true;
    return absl::UnavailableError("simulated power loss");
  }

 private:
  Crash armed_ = Crash::kNone;
  bool crashed_ = false;
};

}  // namespace distill
