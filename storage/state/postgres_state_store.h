// The state store for servers that stand by for one another: tables in a PostgreSQL database, the
// same as SQLite's. One connection writes; a batch of mutations is one transaction, sent in one
// go, that begins by locking the row of the leadership and ends in an acknowledged COMMIT.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "storage/state/postgres_connection.h"
#include "storage/state/sql_state_store.h"

namespace distill::storage {

class PostgresStateStore : public SqlStateStore {
 public:
  struct Config {
    PostgresOptions database;
    // Of the leadership that this store writes under.
    int64_t epoch = 0;
  };

  // Migrates the schema in one transaction. kFailedPrecondition when it is newer than this program
  // or when another epoch has begun.
  static absl::StatusOr<std::unique_ptr<PostgresStateStore>> Open(const Config& config);

  absl::StatusOr<StateImage> Load() override { return LoadFrom(*writer_); }
  absl::Status Commit(absl::Span<const Mutation> mutations) override;

 private:
  PostgresStateStore(const Config& config, std::unique_ptr<PostgresConnection> writer)
      : config_(config), writer_(std::move(writer)) {}
  absl::StatusOr<Reader> OpenReader() const override;
  absl::Status ApplyAll(absl::Span<const Mutation> mutations);

  const Config config_;
  // Writer thread only.
  const std::unique_ptr<PostgresConnection> writer_;
  absl::Status failed_;
};

}  // namespace distill::storage
