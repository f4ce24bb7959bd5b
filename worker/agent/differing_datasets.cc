#include "worker/agent/differing_datasets.h"

#include <iterator>

namespace distill::worker {

void DifferingDatasets::Add(const std::string& path, const std::string& digest) {
  MutexLock lock(mu_);
  Forget();
  until_[{path, digest}] = clock_.Now() + kRemembered;
}

bool DifferingDatasets::Contains(const std::string& path, const std::string& digest) {
  MutexLock lock(mu_);
  Forget();
  return until_.count({path, digest}) > 0;
}

void DifferingDatasets::Forget() {
  const MonotonicTime now = clock_.Now();
  for (auto entry = until_.begin(); entry != until_.end();) {
    entry = entry->second <= now ? until_.erase(entry) : std::next(entry);
  }
}

}  // namespace distill::worker
