#include "storage/state/postgres_state_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "storage/state/schema.h"
#include "storage/state/sql_rows.h"

namespace distill::storage {
namespace {

// Locks the row until the end of the transaction. Under another epoch the row's CHECK fails, and
// with it the transaction.
constexpr char kFence[] =
    "UPDATE distill_leadership SET writer_epoch=?, renewed_at=clock_timestamp()";

absl::Status Migrate(PostgresConnection& connection, int64_t epoch) {
  DISTILL_RETURN_IF_ERROR(connection.Execute("BEGIN"));
  DISTILL_RETURN_IF_ERROR(connection.Prepare(kFence).Int(epoch).RunOnOneRow("leadership"));
  DISTILL_ASSIGN_OR_RETURN(const int64_t present, connection.SchemaVersion());
  DISTILL_RETURN_IF_ERROR(CheckSchemaVersion(present));
  DISTILL_RETURN_IF_ERROR(connection.MigrateTo(static_cast<int64_t>(SchemaMigrations().size())));
  return connection.Execute("COMMIT");
}

}  // namespace

absl::StatusOr<std::unique_ptr<PostgresStateStore>> PostgresStateStore::Open(const Config& config) {
  DISTILL_ASSIGN_OR_RETURN(std::unique_ptr<PostgresConnection> writer,
                           PostgresConnection::Open(config.database));
  // The locks of a writer that stopped half-way are gone before it can be taken over.
  DISTILL_RETURN_IF_ERROR(writer->Execute("SET idle_in_transaction_session_timeout = '2s'"));
  DISTILL_RETURN_IF_ERROR(
      Annotate(Migrate(*writer, config.epoch), "cannot use the PostgreSQL state database"));
  return std::unique_ptr<PostgresStateStore>(new PostgresStateStore(config, std::move(writer)));
}

absl::Status PostgresStateStore::ApplyAll(absl::Span<const Mutation> mutations) {
  DISTILL_RETURN_IF_ERROR(writer_->BeginBatch());
  DISTILL_RETURN_IF_ERROR(writer_->Prepare("BEGIN").Run());
  DISTILL_RETURN_IF_ERROR(writer_->Prepare(kFence).Int(config_.epoch).RunOnOneRow("leadership"));
  for (const Mutation& mutation : mutations) {
    DISTILL_RETURN_IF_ERROR(ApplyMutation(*writer_, mutation));
  }
  DISTILL_RETURN_IF_ERROR(writer_->EndBatch());
  // Only now, when every statement is known to have changed what it should.
  return writer_->Execute("COMMIT");
}

absl::Status PostgresStateStore::Commit(absl::Span<const Mutation> mutations) {
  if (!failed_.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cannot commit: an earlier commit failed, restart the server; cause=", failed_.message()));
  }
  if (mutations.empty()) return absl::OkStatus();
  failed_ = ApplyAll(mutations);
  if (failed_.ok()) return failed_;
  // Whatever the transaction holds is released; it fails when the connection is lost, which
  // does the same.
  writer_->Execute("ROLLBACK").IgnoreError();
  return Annotate(failed_, "cannot commit to the state database");
}

absl::StatusOr<SqlStateStore::Reader> PostgresStateStore::OpenReader() const {
  PostgresOptions options = config_.database;
  options.application_name = "distill-reader";
  DISTILL_ASSIGN_OR_RETURN(std::unique_ptr<PostgresConnection> reader,
                           PostgresConnection::Open(options));
  DISTILL_RETURN_IF_ERROR(reader->Execute("SET default_transaction_read_only = on"));
  return Reader(std::move(reader));
}

}  // namespace distill::storage
