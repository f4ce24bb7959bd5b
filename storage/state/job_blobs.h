// Which blobs a job knows of.
#pragma once

#include <set>
#include <vector>

#include "base/digest.h"
#include "storage/state/records.h"

namespace distill::storage {

// Reports, results, observations of all attempts, and checkpoints.
std::set<Digest> BlobsOfJob(const JobRecord& job, const std::vector<TaskRecord>& tasks,
                            const std::vector<AttemptRecord>& attempts);

}  // namespace distill::storage
