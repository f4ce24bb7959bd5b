// Says why a task's key was or was not among earlier ones: its parts, and how they differ from
// those of the earlier task of the same name that has most in common with it. A difference in an
// input is followed to the task that made the input, and so on, to where it began.
//
// Everything comes from the state store, so jobs that retention forgot are not seen.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "distill/v1/cache_service.pb.h"
#include "server/scheduler/ledger.h"
#include "storage/state/state_store.h"

namespace distill::server {

// One explanation; one thread. Blocks for I/O.
class KeyExplainer {
 public:
  explicit KeyExplainer(const storage::StateStore& store) : store_(store) {}

  // `view` is what the scheduler knows of the key of `task`. kDataLoss when a stored spec does not
  // parse; errors of the store.
  absl::StatusOr<v1::KeyExplanation> ExplainTask(const storage::TaskRecord& task,
                                                 const ProjectId& project, const KeyView& view);
  // The same for a key of which no task was named.
  absl::StatusOr<v1::KeyExplanation> ExplainKey(const ProjectId& project, const Digest& key,
                                                const KeyView& view);

 private:
  using Parts = std::map<std::string, std::string>;

  // What a key is made of. Empty when it was made by another version of the encoding.
  absl::StatusOr<Parts> PartsOf(const storage::TaskRecord& task) const;
  absl::Status AddParts(const storage::TaskRecord& task, v1::KeyExplanation& explanation) const;
  // Tasks of the same name in older jobs of the project, newest first.
  absl::StatusOr<std::vector<storage::TaskRecord>> EarlierTasks(const storage::TaskRecord& task,
                                                                const ProjectId& project) const;
  // Why nobody's result was there when the task became ready.
  absl::Status ExplainMiss(const storage::TaskRecord& task, const ProjectId& project,
                           v1::KeyExplanation& explanation) const;
  absl::Status AddDifferences(const storage::TaskRecord& task, const storage::TaskRecord& earlier,
                              v1::KeyExplanation& explanation) const;

  const storage::StateStore& store_;
};

}  // namespace distill::server
