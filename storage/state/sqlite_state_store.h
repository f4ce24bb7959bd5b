// The default state store: one SQLite file in write-ahead mode, fully synced at each commit.
//
// One connection writes, from the thread that calls Load() and Commit(); queries use connections of
// their own that only read, and see each commit that returned. Only the writer checkpoints the log.
// A database of an older schema is copied (VACUUM INTO, beside it) and then migrated in one
// transaction; a newer one is refused.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "storage/state/sqlite_connection.h"
#include "storage/state/state_store.h"

namespace distill::storage {

class SqliteStateStore : public StateStore {
 public:
  // Opens or creates the database file. The caller holds the lock of the data directory.
  // kFailedPrecondition when the schema is newer than this program; kDataLoss when the file is no
  // database.
  static absl::StatusOr<std::unique_ptr<SqliteStateStore>> Open(const std::string& path);

  absl::StatusOr<StateImage> Load() override;
  absl::Status Commit(absl::Span<const Mutation> mutations) override;
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

 private:
  // Readers that are not in use; as many as queries ran at once.
  using Reader = std::unique_ptr<SqliteConnection>;

  SqliteStateStore(const std::string& path, std::unique_ptr<SqliteConnection> writer)
      : path_(path), writer_(std::move(writer)) {}
  // Lends a reader to `query`. Callable: StatusOr<T>(SqliteConnection&).
  template <typename Query>
  auto Read(Query query) const -> decltype(query(std::declval<SqliteConnection&>()));
  absl::Status ApplyAll(absl::Span<const Mutation> mutations);

  const std::string path_;
  // Writer thread only.
  const std::unique_ptr<SqliteConnection> writer_;
  absl::Status failed_;

  mutable Mutex mu_;
  mutable std::vector<Reader> readers_ ABSL_GUARDED_BY(mu_);
};

}  // namespace distill::storage
