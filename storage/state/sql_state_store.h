// The queries of a state store, for every SQL database alike. A database adds how it is opened,
// migrated and committed to.
#pragma once

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "storage/state/sql_connection.h"
#include "storage/state/state_store.h"

namespace distill::storage {

class SqlStateStore : public StateStore {
 public:
  absl::StatusOr<JobRecord> GetJob(const JobId& job) const override;
  absl::StatusOr<std::vector<JobRecord>> ListJobs(const JobPageRequest& page) const override;
  absl::StatusOr<JobCounts> CountTasks(const JobId& job) const override;
  absl::StatusOr<TaskRecord> GetTask(const TaskId& task) const override;
  absl::StatusOr<std::vector<TaskRecord>> ListTasks(const JobId& job, int32_t after_index,
                                                    int limit) const override;
  absl::StatusOr<std::vector<AttemptRecord>> ListAttempts(const TaskId& task) const override;
  absl::StatusOr<std::vector<AttemptRecord>> ListJobAttempts(const JobId& job) const override;
  absl::StatusOr<std::vector<EventRecord>> EventsAfter(const JobId& job, int64_t after_revision,
                                                       int limit) const override;
  absl::StatusOr<BlobRecord> GetBlob(const Digest& digest) const override;
  absl::StatusOr<std::vector<BlobRecord>> ListBlobs(const ArtifactPageRequest& page) const override;
  absl::StatusOr<DatasetRecord> GetDataset(const DatasetName& name) const override;
  absl::StatusOr<std::vector<DatasetRecord>> ListDatasets(const DatasetName& after,
                                                          int limit) const override;
  absl::StatusOr<std::vector<LineageRecord>> Lineage(const Digest& digest) const override;
  absl::StatusOr<std::vector<ProjectId>> ProjectsOfBlob(const Digest& digest) const override;
  absl::StatusOr<std::vector<TokenRecord>> ListTokens() const override;

  // Reads what StateStore::Load() promises, of a database of the newest schema.
  static absl::StatusOr<StateImage> LoadFrom(SqlConnection& db);

 protected:
  using Reader = std::unique_ptr<SqlConnection>;
  // Closes the connections of queries, none of which runs any more.
  void CloseReaders() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // A connection for queries, which see every commit that returned. Thread-safe.
  virtual absl::StatusOr<Reader> OpenReader() const = 0;
  // Lends a reader to `query`. Callable: StatusOr<T>(SqlConnection&).
  template <typename Query>
  auto Read(Query query) const -> decltype(query(std::declval<SqlConnection&>()));

  mutable Mutex mu_;
  // Those not in use; as many as queries ran at once.
  mutable std::vector<Reader> readers_ ABSL_GUARDED_BY(mu_);
};

}  // namespace distill::storage
