// Which blobs a job holds on to.
#pragma once

#include "server/scheduler/core_state.h"

namespace distill::server {

// Calls `visit(digest)` for every blob that `job` holds on to; the digest may be empty.
template <typename Visit>
void ForEachReference(const Job& job, Visit visit) {
  for (const storage::NamedBlob& blob : job.record.status.artifacts) visit(blob.digest);
  for (const Task& task : job.tasks) {
    for (const storage::NamedBlob& blob : task.status.results) visit(blob.digest);
    for (const storage::NamedBlob& blob : task.status.observations) visit(blob.digest);
    for (const storage::AttemptRecord& attempt : task.attempts) {
      for (const storage::NamedBlob& blob : attempt.observations) visit(blob.digest);
    }
    // Checkpoints serve only tasks that may go on.
    if (!storage::IsTerminal(task.status.state)) {
      visit(task.status.checkpoint.digest);
      visit(task.status.previous_checkpoint.digest);
    }
    if (!storage::IsTerminal(job.record.status.state)) {
      for (const InputSlot& input : task.inputs) visit(input.given);
    }
  }
}

}  // namespace distill::server
