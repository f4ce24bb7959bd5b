#include "storage/state/sqlite_state_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "storage/state/schema.h"
#include "storage/state/sql_rows.h"

namespace distill::storage {
namespace {

// Brings the schema to the newest version.
absl::Status Migrate(SqliteConnection& connection, const std::string& path) {
  DISTILL_ASSIGN_OR_RETURN(const int64_t version, connection.SchemaVersion());
  const auto newest = static_cast<int64_t>(SchemaMigrations().size());
  if (version == newest) return absl::OkStatus();
  DISTILL_RETURN_IF_ERROR(CheckSchemaVersion(version));
  if (version == 0) {
    DISTILL_ASSIGN_OR_RETURN(const int64_t tables,
                             connection.QueryInt("SELECT count(*) FROM sqlite_schema"));
    if (tables > 0) {
      return absl::FailedPreconditionError(absl::StrCat(
          "cannot open state database: it holds tables but no schema version, so it is not of this "
          "program; choose another data directory; path=",
          path));
    }
  }
  if (version > 0) {
    const std::string backup = absl::StrCat(path, ".v", version, ".backup");
    DISTILL_RETURN_IF_ERROR(RemoveFile(backup));
    DISTILL_RETURN_IF_ERROR(connection.Execute(
        absl::StrCat("VACUUM INTO '", absl::StrReplaceAll(backup, {{"'", "''"}}), "'")));
    LogInfo("state database copied before migration",
            {{"backup", backup}, {"from", version}, {"to", newest}});
  }
  DISTILL_RETURN_IF_ERROR(connection.Execute("BEGIN EXCLUSIVE"));
  DISTILL_RETURN_IF_ERROR(Annotate(connection.MigrateTo(newest), "cannot migrate state database"));
  return connection.Execute("COMMIT");
}

// Sets how commits reach the disk, then migrates.
absl::Status Prepare(SqliteConnection& connection, const std::string& path) {
  DISTILL_RETURN_IF_ERROR(connection.Execute(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 1000; "
      // In KiB. A large job is one transaction; what does not fit is written and read again.
      "PRAGMA cache_size = -16384;"));
  return Migrate(connection, path);
}

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteStateStore>> SqliteStateStore::Open(const std::string& path) {
  DISTILL_ASSIGN_OR_RETURN(std::unique_ptr<SqliteConnection> writer,
                           SqliteConnection::Open(path, SqliteConnection::Mode::kReadWrite));
  const absl::Status prepared = Prepare(*writer, path);
  if (!prepared.ok()) return Annotate(prepared, absl::StrCat("cannot use ", path));
  return std::unique_ptr<SqliteStateStore>(new SqliteStateStore(path, std::move(writer)));
}

absl::Status SqliteStateStore::ApplyAll(absl::Span<const Mutation> mutations) {
  DISTILL_RETURN_IF_ERROR(writer_->Prepare("BEGIN IMMEDIATE").Run());
  for (const Mutation& mutation : mutations) {
    DISTILL_RETURN_IF_ERROR(ApplyMutation(*writer_, mutation));
  }
  return writer_->Prepare("COMMIT").Run();
}

absl::Status SqliteStateStore::Commit(absl::Span<const Mutation> mutations) {
  if (!failed_.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cannot commit: an earlier commit failed, restart the server; cause=", failed_.message()));
  }
  if (mutations.empty()) return absl::OkStatus();
  failed_ = ApplyAll(mutations);
  // After a failed COMMIT the transaction may be open or gone; either answer is fine.
  if (!failed_.ok()) writer_->Execute("ROLLBACK").IgnoreError();
  return Annotate(failed_, "cannot commit to the state database");
}

absl::StatusOr<SqlStateStore::Reader> SqliteStateStore::OpenReader() const {
  return SqliteConnection::Open(path_, SqliteConnection::Mode::kReadOnly);
}

}  // namespace distill::storage
