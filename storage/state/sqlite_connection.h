// A thin owner of one SQLite connection and its prepared statements; the only file that knows
// sqlite3.h, and where its result codes become absl ones.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

struct sqlite3;
struct sqlite3_stmt;

namespace distill::storage {

// One use of a prepared statement: bind in order, step, read columns in order. The first error
// sticks and is returned by Step() or Run(). Ends with its scope.
class SqliteStatement {
 public:
  SqliteStatement(sqlite3* database, sqlite3_stmt* statement, absl::Status status);
  ~SqliteStatement();
  SqliteStatement(SqliteStatement&& other) noexcept;
  SqliteStatement& operator=(SqliteStatement&&) = delete;

  // Bind the next parameter. Text need only live until the next Run() or Step() loop ends.
  SqliteStatement& Text(absl::string_view text);
  SqliteStatement& Blob(absl::string_view bytes);
  SqliteStatement& Int(int64_t value);
  SqliteStatement& Time(absl::Time time);  // kUnsetTime becomes NULL.

  // True when there is a row, false at the end.
  absl::StatusOr<bool> Step();
  // For statements without rows.
  absl::Status Run();

  // Read the next column of the current row.
  std::string ReadText();
  int64_t ReadInt();
  int32_t ReadInt32() { return static_cast<int32_t>(ReadInt()); }
  absl::Time ReadTime();

 private:
  void Bound(int result);

  sqlite3* database_;
  sqlite3_stmt* statement_;
  absl::Status status_;
  int next_parameter_ = 1;
  int next_column_ = 0;
};

// One thread at a time.
class SqliteConnection {
 public:
  enum class Mode { kReadWrite, kReadOnly };

  // Opens (kReadWrite: or creates) the file. kInternal, kPermissionDenied, kResourceExhausted,
  // kDataLoss when it is no database.
  static absl::StatusOr<std::unique_ptr<SqliteConnection>> Open(const std::string& path, Mode mode);
  ~SqliteConnection();
  SqliteConnection(const SqliteConnection&) = delete;
  SqliteConnection& operator=(const SqliteConnection&) = delete;

  // Runs statements that return no rows, such as a schema.
  absl::Status Execute(const std::string& sql);
  // `sql` is a literal: prepared once and kept.
  SqliteStatement Prepare(const char* sql);
  absl::StatusOr<int64_t> QueryInt(const char* sql);

 private:
  explicit SqliteConnection(sqlite3* database) : database_(database) {}

  sqlite3* const database_;
  std::map<const char*, sqlite3_stmt*> statements_;
};

}  // namespace distill::storage
