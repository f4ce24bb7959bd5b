#include "server/rpc/attempt_observations.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace distill::server {

absl::StatusOr<storage::NamedBlob> FindObservation(const storage::StateStore& store,
                                                   const TaskId& task, int32_t attempt_number,
                                                   absl::string_view name) {
  DISTILL_ASSIGN_OR_RETURN(const storage::TaskRecord record, store.GetTask(task));
  DISTILL_ASSIGN_OR_RETURN(const std::vector<storage::AttemptRecord> attempts,
                           store.ListAttempts(task));
  for (auto attempt = attempts.rbegin(); attempt != attempts.rend(); ++attempt) {
    // Of a gang, the first rank is the one that tells most.
    const bool wanted =
        attempt_number == 0 ? attempt->gang_rank == 0 : attempt->number == attempt_number;
    if (!wanted) continue;
    const storage::NamedBlob* blob = FindBlob(attempt->observations, name);
    if (blob != nullptr) return *blob;
    if (attempt_number != 0) break;
  }
  const storage::NamedBlob* blob = FindBlob(record.status.observations, name);
  if (attempt_number == 0 && blob != nullptr) return *blob;
  return absl::NotFoundError(absl::StrCat("cannot read ", name,
                                          ": no attempt has uploaded one yet; task=", task.str(),
                                          " attempt=", attempt_number));
}

}  // namespace distill::server
