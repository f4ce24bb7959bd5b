#include "storage/state/job_blobs.h"

namespace distill::storage {

std::set<Digest> BlobsOfJob(const JobRecord& job, const std::vector<TaskRecord>& tasks,
                            const std::vector<AttemptRecord>& attempts) {
  std::set<Digest> digests;
  const auto add = [&digests](const std::vector<NamedBlob>& blobs) {
    for (const NamedBlob& blob : blobs) digests.insert(blob.digest);
  };
  add(job.status.artifacts);
  for (const TaskRecord& task : tasks) {
    add(task.status.results);
    add(task.status.observations);
    digests.insert(task.status.checkpoint.digest);
    digests.insert(task.status.previous_checkpoint.digest);
  }
  for (const AttemptRecord& attempt : attempts) add(attempt.observations);
  digests.erase(Digest());
  return digests;
}

}  // namespace distill::storage
