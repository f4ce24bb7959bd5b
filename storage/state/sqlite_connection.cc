#include "storage/state/sqlite_connection.h"

#include <sqlite3.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "storage/state/schema.h"

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

class SqliteCursor : public SqlCursor {
 public:
  // `statement` is lent until the end.
  SqliteCursor(sqlite3* database, sqlite3_stmt* statement)
      : database_(database), statement_(statement) {}
  ~SqliteCursor() override {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
  SqliteCursor(const SqliteCursor&) = delete;
  SqliteCursor& operator=(const SqliteCursor&) = delete;

  absl::Status BindText(int parameter, absl::string_view text) override {
    // A null pointer would bind NULL.
    const char* data = text.data() == nullptr ? "" : text.data();
    return Bound(sqlite3_bind_text64(statement_, parameter, data, text.size(), SQLITE_TRANSIENT,
                                     SQLITE_UTF8));
  }
  absl::Status BindBlob(int parameter, absl::string_view bytes) override {
    const char* data = bytes.data() == nullptr ? "" : bytes.data();
    return Bound(sqlite3_bind_blob64(statement_, parameter, data, bytes.size(), SQLITE_TRANSIENT));
  }
  absl::Status BindInt(int parameter, int64_t value) override {
    return Bound(sqlite3_bind_int64(statement_, parameter, value));
  }
  absl::Status BindNull(int parameter) override {
    return Bound(sqlite3_bind_null(statement_, parameter));
  }

  absl::StatusOr<bool> Step() override {
    const int result = sqlite3_step(statement_);
    if (result == SQLITE_ROW) return true;
    if (result == SQLITE_DONE) return false;
    return SqlError(database_, result, "run statement");
  }
  absl::Status Run(absl::string_view id_of_one_row) override {
    DISTILL_RETURN_IF_ERROR(Step().status());
    if (id_of_one_row.empty() || sqlite3_changes(database_) == 1) return absl::OkStatus();
    return absl::InternalError(absl::StrCat("cannot commit: unknown row; id=", id_of_one_row));
  }

  bool IsNull(int column) const override {
    return sqlite3_column_type(statement_, column) == SQLITE_NULL;
  }
  int64_t Int(int column) const override { return sqlite3_column_int64(statement_, column); }
  std::string Bytes(int column) const override {
    const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    const int size = sqlite3_column_bytes(statement_, column);
    return data == nullptr ? std::string() : std::string(data, static_cast<size_t>(size));
  }

 private:
  absl::Status Bound(int result) {
    return result == SQLITE_OK ? absl::OkStatus() : SqlError(database_, result, "bind value");
  }

  sqlite3* const database_;
  sqlite3_stmt* const statement_;
};

// SQLite's statistics of memory, which nobody reads, take a lock at each allocation.
void CountNoMemory() {
  static const int result = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  static_cast<void>(result);  // Refused once SQLite is in use by somebody else: then it counts.
}

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteConnection>> SqliteConnection::Open(const std::string& path,
                                                                         Mode mode) {
  const int flags =
      SQLITE_OPEN_NOMUTEX |
      (mode == Mode::kReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  CountNoMemory();
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
  Forget();
  sqlite3_close_v2(database_);
}

void SqliteConnection::Forget() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  statements_.clear();
}

absl::StatusOr<int64_t> SqliteConnection::SchemaVersion() {
  return QueryInt("PRAGMA user_version");
}

absl::Status SqliteConnection::MigrateTo(int64_t version) {
  DISTILL_ASSIGN_OR_RETURN(const int64_t present, SchemaVersion());
  for (int64_t i = present; i < version; ++i) {
    DISTILL_RETURN_IF_ERROR(Execute(SchemaMigrations()[static_cast<size_t>(i)]));
  }
  return present >= version ? absl::OkStatus()
                            : Execute(absl::StrCat("PRAGMA user_version = ", version));
}

absl::Status SqliteConnection::Execute(const std::string& sql) {
  const int result = sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr);
  return result == SQLITE_OK ? absl::OkStatus() : SqlError(database_, result, "run statement");
}

absl::StatusOr<std::vector<std::string>> SqliteConnection::CheckIntegrity() {
  std::vector<std::string> damages;
  SqlStatement pages = Prepare("PRAGMA integrity_check(20)");
  for (;;) {
    DISTILL_ASSIGN_OR_RETURN(const bool row, pages.Step());
    if (!row) break;
    std::string damage = pages.ReadText();
    if (damage != "ok") damages.push_back(std::move(damage));
  }
  SqlStatement orphans = Prepare("PRAGMA foreign_key_check");
  for (;;) {
    DISTILL_ASSIGN_OR_RETURN(const bool row, orphans.Step());
    if (!row) return damages;
    damages.push_back(absl::StrCat("a row of table ", orphans.ReadText(), " has lost its owner"));
  }
}

SqlStatement SqliteConnection::Prepare(const char* sql) {
  sqlite3_stmt*& statement = statements_[sql];
  if (statement == nullptr) {
    const int result =
        sqlite3_prepare_v3(database_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (result != SQLITE_OK) {
      return SqlStatement(nullptr, SqlError(database_, result, "prepare statement"));
    }
  }
  return SqlStatement(std::make_unique<SqliteCursor>(database_, statement), absl::OkStatus());
}

}  // namespace distill::storage
