// Leadership over a SQLite database: whoever has the lock of the data directory leads, for as long
// as its process lives. Nobody stands by.
#pragma once

#include <optional>
#include <string>

#include "base/file.h"
#include "storage/state/leadership.h"

namespace distill::storage {

class FileLockLeadership : public Leadership {
 public:
  // The folder must exist.
  explicit FileLockLeadership(std::string data_dir) : data_dir_(std::move(data_dir)) {}

  // True, or kFailedPrecondition when another process has the lock.
  absl::StatusOr<bool> TryToLead() override;
  std::string leader_address() const override { return ""; }
  void Hold(std::function<void(const absl::Status&)> on_lost) override;
  bool Leads() const override { return true; }
  absl::StatusOr<std::unique_ptr<StateStore>> OpenStore() override;
  // The lock goes with this object.
  void Resign() override {}

 private:
  const std::string data_dir_;
  std::optional<FileLock> lock_;
};

}  // namespace distill::storage
