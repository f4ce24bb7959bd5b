// The default state store: one SQLite file in write-ahead mode, fully synced at each commit.
//
// One connection writes, from the thread that calls Load() and Commit(); queries use connections of
// their own that only read, and see each commit that returned. Only the writer checkpoints the log.
// A database of an older schema is copied (VACUUM INTO, beside it) and then migrated in one
// transaction; a newer one is refused.
#pragma once

#include <memory>
#include <string>

#include "storage/state/sql_state_store.h"
#include "storage/state/sqlite_connection.h"

namespace distill::storage {

class SqliteStateStore : public SqlStateStore {
 public:
  // Opens or creates the database file. The caller holds the lock of the data directory.
  // kFailedPrecondition when the schema is newer than this program; kDataLoss when the file is no
  // database.
  static absl::StatusOr<std::unique_ptr<SqliteStateStore>> Open(const std::string& path);
  // The write-ahead log goes into the file and is removed by the last connection that closes, if
  // that one may write.
  ~SqliteStateStore() override { CloseReaders(); }

  absl::StatusOr<StateImage> Load() override { return LoadFrom(*writer_); }
  absl::Status Commit(absl::Span<const Mutation> mutations) override;

 private:
  SqliteStateStore(const std::string& path, std::unique_ptr<SqliteConnection> writer)
      : path_(path), writer_(std::move(writer)) {}
  absl::StatusOr<Reader> OpenReader() const override;
  absl::Status ApplyAll(absl::Span<const Mutation> mutations);

  const std::string path_;
  // Writer thread only.
  const std::unique_ptr<SqliteConnection> writer_;
  absl::Status failed_;
};

}  // namespace distill::storage
