#include "storage/state/file_lock_leadership.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "storage/state/sqlite_state_store.h"

namespace distill::storage {

absl::StatusOr<bool> FileLockLeadership::TryToLead() {
  absl::StatusOr<FileLock> lock = FileLock::Acquire(JoinPath(data_dir_, "lock"));
  if (!lock.ok()) {
    return Annotate(
        lock.status(),
        absl::StrCat(
            "cannot use data directory ", data_dir_,
            ": another server may be running on it; stop it or choose another --data-dir"));
  }
  lock_.emplace(*std::move(lock));
  return true;
}

void FileLockLeadership::Hold(std::function<void(const absl::Status&)>) {}

absl::StatusOr<std::unique_ptr<StateStore>> FileLockLeadership::OpenStore() {
  DISTILL_ASSIGN_OR_RETURN(std::unique_ptr<SqliteStateStore> store,
                           SqliteStateStore::Open(JoinPath(data_dir_, "state.db")));
  return std::unique_ptr<StateStore>(std::move(store));
}

}  // namespace distill::storage
