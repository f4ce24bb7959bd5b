// Remembers which data sets on this machine's own disks are not what jobs say, as trainers found
// out, so that the next task takes the server's copy instead, or is refused before a trainer reads
// everything once more.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"

namespace distill::worker {

// Thread-safe.
class DifferingDatasets {
 public:
  // After this time files are given another chance: somebody may have mended them.
  static constexpr absl::Duration kRemembered = absl::Minutes(10);

  // `clock` outlives this.
  explicit DifferingDatasets(const Clock& clock) : clock_(clock) {}

  // The files under `path` are not those of `digest`.
  void Add(const std::string& path, const std::string& digest) ABSL_LOCKS_EXCLUDED(mu_);
  bool Contains(const std::string& path, const std::string& digest) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Forget() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Clock& clock_;
  Mutex mu_;
  // Until when, by path and digest.
  std::map<std::pair<std::string, std::string>, MonotonicTime> until_ ABSL_GUARDED_BY(mu_);
};

}  // namespace distill::worker
