#include "storage/state/sqlite_connection.h"

#include <sqlite3.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "storage/state/records.h"

namespace distill::storage {
namespace {

absl::Status SqlError(sqlite3* database, int result, absl::string_view action) {
  const std::string message = absl::StrCat(
      "cannot ", action,
      ": sqlite: ", database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(result),
      "; code=", database != nullptr ? sqlite3_extended_errcode(database) : result);
  switch (result & 0xff) {
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(message);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(message);
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return absl::PermissionDeniedError(message);
    default:
      return absl::InternalError(message);
  }
}

}  // namespace

SqliteStatement::SqliteStatement(sqlite3* database, sqlite3_stmt* statement, absl::Status status)
    : database_(database), statement_(statement), status_(std::move(status)) {}

SqliteStatement::SqliteStatement(SqliteStatement&& other) noexcept
    : database_(other.database_),
      statement_(std::exchange(other.statement_, nullptr)),
      status_(std::move(other.status_)),
      next_parameter_(other.next_parameter_),
      next_column_(other.next_column_) {}

SqliteStatement::~SqliteStatement() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

void SqliteStatement::Bound(int result) {
  if (result != SQLITE_OK && status_.ok()) status_ = SqlError(database_, result, "bind value");
}

SqliteStatement& SqliteStatement::Text(absl::string_view text) {
  if (!status_.ok()) return *this;
  // A null pointer would bind NULL.
  const char* data = text.data() == nullptr ? "" : text.data();
  Bound(sqlite3_bind_text64(statement_, next_parameter_++, data, text.size(), SQLITE_TRANSIENT,
                            SQLITE_UTF8));
  return *this;
}

SqliteStatement& SqliteStatement::Blob(absl::string_view bytes) {
  if (!status_.ok()) return *this;
  const char* data = bytes.data() == nullptr ? "" : bytes.data();
  Bound(sqlite3_bind_blob64(statement_, next_parameter_++, data, bytes.size(), SQLITE_TRANSIENT));
  return *this;
}

SqliteStatement& SqliteStatement::Int(int64_t value) {
  if (!status_.ok()) return *this;
  Bound(sqlite3_bind_int64(statement_, next_parameter_++, value));
  return *this;
}

SqliteStatement& SqliteStatement::Time(absl::Time time) {
  if (time != kUnsetTime) return Int(absl::ToUnixMicros(time));
  if (!status_.ok()) return *this;
  Bound(sqlite3_bind_null(statement_, next_parameter_++));
  return *this;
}

absl::StatusOr<bool> SqliteStatement::Step() {
  if (!status_.ok()) return status_;
  next_column_ = 0;
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  status_ = SqlError(database_, result, "run statement");
  return status_;
}

absl::Status SqliteStatement::Run() { return Step().status(); }

std::string SqliteStatement::ReadText() {
  const int column = next_column_++;
  const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  const int size = sqlite3_column_bytes(statement_, column);
  return data == nullptr ? std::string() : std::string(data, static_cast<size_t>(size));
}

int64_t SqliteStatement::ReadInt() { return sqlite3_column_int64(statement_, next_column_++); }

absl::Time SqliteStatement::ReadTime() {
  const int column = next_column_++;
  if (sqlite3_column_type(statement_, column) == SQLITE_NULL) return kUnsetTime;
  return absl::FromUnixMicros(sqlite3_column_int64(statement_, column));
}

absl::StatusOr<std::unique_ptr<SqliteConnection>> SqliteConnection::Open(const std::string& path,
                                                                         Mode mode) {
  const int flags =
      SQLITE_OPEN_NOMUTEX |
      (mode == Mode::kReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  sqlite3* database = nullptr;
  const int result = sqlite3_open_v2(path.c_str(), &database, flags, nullptr);
  if (result != SQLITE_OK) {
    absl::Status status = SqlError(database, result, absl::StrCat("open ", path));
    sqlite3_close_v2(database);
    return status;
  }
  sqlite3_extended_result_codes(database, 1);
  sqlite3_busy_timeout(database, 5000);
  auto connection = std::unique_ptr<SqliteConnection>(new SqliteConnection(database));
  // No memory map: an I/O error there is a signal, not a result code.
  DISTILL_RETURN_IF_ERROR(connection->Execute("PRAGMA foreign_keys = ON; PRAGMA mmap_size = 0;"));
  return connection;
}

SqliteConnection::~SqliteConnection() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close_v2(database_);
}

absl::Status SqliteConnection::Execute(const std::string& sql) {
  const int result = sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr);
  return result == SQLITE_OK ? absl::OkStatus() : SqlError(database_, result, "run statement");
}

SqliteStatement SqliteConnection::Prepare(const char* sql) {
  sqlite3_stmt*& statement = statements_[sql];
  absl::Status status;
  if (statement == nullptr) {
    const int result =
        sqlite3_prepare_v3(database_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (result != SQLITE_OK) status = SqlError(database_, result, "prepare statement");
  }
  return SqliteStatement(database_, statement, std::move(status));
}

absl::StatusOr<int64_t> SqliteConnection::QueryInt(const char* sql) {
  SqliteStatement statement = Prepare(sql);
  DISTILL_ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row) return absl::InternalError(absl::StrCat("cannot run statement: no row; sql=", sql));
  return statement.ReadInt();
}

}  // namespace distill::storage
