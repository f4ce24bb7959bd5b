// Finished results that the server has not acknowledged yet. An entry is durable before the first
// attempt to deliver it, so that hours of training survive the death of this daemon.
//
//   <directory>/<lease id>/entry.pb        the CompleteAttempts item
//   <directory>/<lease id>/<hex digest>    each file that the item names
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/digest.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "distill/v1/worker_service.pb.h"

namespace distill::worker {

// Thread-safe; two threads must not handle the same lease.
class Outbox {
 public:
  using Item = v1::CompleteAttemptsRequest::Item;

  // Creates the directory; removes entries that were being written when the last daemon died.
  static absl::StatusOr<std::unique_ptr<Outbox>> Open(std::string directory, Metrics& metrics);

  // Stores the item and links its files. After OK it survives power loss. `files` has the path of
  // every digest that the item names, in the same file system, complete and synced.
  absl::Status Put(const Item& item, const std::map<Digest, std::string>& files);

  // Returns what is stored, for a daemon that starts. An entry that cannot be read is set aside,
  // with a warning, and left for a person to look at.
  absl::StatusOr<std::vector<Item>> Load();

  // Returns where a file of an entry lies.
  std::string FilePath(const std::string& lease_id, const Digest& digest) const;

  // Forgets an entry; OK when there is none.
  absl::Status Remove(const std::string& lease_id);

 private:
  Outbox(std::string directory, Metrics& metrics);
  void CountEntries(int change) ABSL_LOCKS_EXCLUDED(mu_);

  const std::string directory_;
  Gauge& entries_gauge_;
  Mutex mu_;
  int entries_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace distill::worker
