// Where durable state lives. One thread writes (the engine's driver); any thread may query.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "storage/state/records.h"

namespace distill::storage {

// Everything that the scheduler needs to go on after a restart. Jobs are in order of age, tasks in
// plan order within their job, attempts by number within their task. Specs of tasks whose job is
// terminal are left out.
struct StateImage {
  int64_t last_revision = 0;
  std::vector<JobRecord> jobs;
  std::vector<TaskRecord> tasks;
  std::vector<AttemptRecord> attempts;
  std::vector<BlobRecord> blobs;
  std::vector<ResultRecord> results;
  std::vector<LedgerRecord> ledger;  // By project, job, kind, entry.
  std::vector<RequestRecord> requests;
  std::vector<WorkerRecord> workers;
  std::vector<QuotaRecord> quotas;      // By project.
  std::vector<DatasetRecord> datasets;  // By name.
};

// One page of ListJobs.
struct JobPageRequest {
  ProjectId project;  // Empty: all.
  // Only jobs older than the one with this create_revision; 0: from the newest.
  int64_t before_create_revision = 0;
  int limit = 100;
};

// A blob that a job's tasks made or that stands beside it.
struct ArtifactPageRequest {
  JobId job;          // Empty: all blobs.
  std::string after;  // Only digests above this one.
  int limit = 1000;
};

class StateStore {
 public:
  virtual ~StateStore() = default;

  // Reads everything. Call before the first Commit. kDataLoss when what is stored makes no sense.
  virtual absl::StatusOr<StateImage> Load() = 0;

  // Applies all mutations in order, or none of them. Durable when it returns OK. Blocks for I/O;
  // writer thread only. After the first error nothing is ever written again (every later call
  // returns kFailedPrecondition): what reached the disk is unknown until the store is opened anew.
  virtual absl::Status Commit(absl::Span<const Mutation> mutations) = 0;

  // Queries. Thread-safe; they block for I/O and see every commit that returned before they began.
  // Single-row ones return kNotFound.

  virtual absl::StatusOr<JobRecord> GetJob(const JobId& job) const = 0;
  // Newest first.
  virtual absl::StatusOr<std::vector<JobRecord>> ListJobs(const JobPageRequest& page) const = 0;
  virtual absl::StatusOr<JobCounts> CountTasks(const JobId& job) const = 0;
  virtual absl::StatusOr<TaskRecord> GetTask(const TaskId& task) const = 0;
  // In plan order, those with index > after_index (-1: from the start).
  virtual absl::StatusOr<std::vector<TaskRecord>> ListTasks(const JobId& job, int32_t after_index,
                                                            int limit) const = 0;
  // By number.
  virtual absl::StatusOr<std::vector<AttemptRecord>> ListAttempts(const TaskId& task) const = 0;
  // Of all tasks of the job, by task (in plan order), then number.
  virtual absl::StatusOr<std::vector<AttemptRecord>> ListJobAttempts(const JobId& job) const = 0;
  // In order of revision, those with revision > after_revision.
  virtual absl::StatusOr<std::vector<EventRecord>> EventsAfter(const JobId& job,
                                                               int64_t after_revision,
                                                               int limit) const = 0;
  virtual absl::StatusOr<BlobRecord> GetBlob(const Digest& digest) const = 0;
  // In order of digest. For a job: results, observations, checkpoints and reports of its tasks.
  virtual absl::StatusOr<std::vector<BlobRecord>> ListBlobs(
      const ArtifactPageRequest& page) const = 0;
  virtual absl::StatusOr<DatasetRecord> GetDataset(const DatasetName& name) const = 0;
  // In order of name, those above `after`.
  virtual absl::StatusOr<std::vector<DatasetRecord>> ListDatasets(const DatasetName& after,
                                                                  int limit) const = 0;
  virtual absl::StatusOr<std::vector<LineageRecord>> Lineage(const Digest& digest) const = 0;
  // Projects that own the blob or whose tasks made it, in order, each once.
  virtual absl::StatusOr<std::vector<ProjectId>> ProjectsOfBlob(const Digest& digest) const = 0;
  // All, by id.
  virtual absl::StatusOr<std::vector<TokenRecord>> ListTokens() const = 0;
};

}  // namespace distill::storage
