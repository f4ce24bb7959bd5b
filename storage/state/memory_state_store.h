// A state store that lives as long as its object: for tests, simulations and the conformance suite.
#pragma once

#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "storage/state/state_store.h"

namespace distill::storage {

// Thread-safe.
class MemoryStateStore : public StateStore {
 public:
  absl::StatusOr<StateImage> Load() override ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Commit(absl::Span<const Mutation> mutations) override ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<JobRecord> GetJob(const JobId& job) const override ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::vector<JobRecord>> ListJobs(const JobPageRequest& page) const override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<JobCounts> CountTasks(const JobId& job) const override ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<TaskRecord> GetTask(const TaskId& task) const override ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::vector<TaskRecord>> ListTasks(const JobId& job, int32_t after_index,
                                                    int limit) const override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::vector<AttemptRecord>> ListAttempts(const TaskId& task) const override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::vector<AttemptRecord>> ListJobAttempts(const JobId& job) const override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::vector<EventRecord>> EventsAfter(const JobId& job, int64_t after_revision,
                                                       int limit) const override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<BlobRecord> GetBlob(const Digest& digest) const override ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::vector<BlobRecord>> ListBlobs(const ArtifactPageRequest& page) const override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<DatasetRecord> GetDataset(const DatasetName& name) const override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::vector<DatasetRecord>> ListDatasets(const DatasetName& after,
                                                          int limit) const override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::vector<LineageRecord>> Lineage(const Digest& digest) const override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::vector<ProjectId>> ProjectsOfBlob(const Digest& digest) const override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::vector<TokenRecord>> ListTokens() const override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Tables {
    int64_t last_revision = 0;
    std::map<JobId, JobRecord> jobs;
    std::map<TaskId, TaskRecord> tasks;
    std::map<JobId, std::map<int32_t, TaskId>> plan;
    std::map<TaskId, std::map<int32_t, AttemptRecord>> attempts;
    std::map<Digest, BlobRecord> blobs;
    std::map<Digest, std::map<std::tuple<TaskId, int32_t, std::string>, LineageRecord>> lineage;
    std::map<std::pair<ProjectId, Digest>, ResultRecord> results;
    std::map<std::tuple<ProjectId, JobId, std::string, LedgerEntry>, LedgerRecord> ledger;
    std::map<std::pair<ProjectId, RequestId>, RequestRecord> requests;
    std::map<WorkerId, WorkerRecord> workers;
    std::map<ProjectId, QuotaRecord> quotas;
    std::map<DatasetName, DatasetRecord> datasets;
    std::map<JobId, std::map<int64_t, EventRecord>> events;
    std::set<std::pair<Digest, ProjectId>> blob_owners;
    std::map<std::string, TokenRecord> tokens;
  };
  struct Checker;
  struct Applier;

  mutable Mutex mu_;
  Tables tables_ ABSL_GUARDED_BY(mu_);
  bool failed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace distill::storage
