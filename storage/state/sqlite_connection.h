// A thin owner of one SQLite connection and its prepared statements; the only file that knows
// sqlite3.h, and where its result codes become absl ones.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "storage/state/sql_connection.h"

struct sqlite3;
struct sqlite3_stmt;

namespace distill::storage {

// One thread at a time.
class SqliteConnection : public SqlConnection {
 public:
  enum class Mode { kReadWrite, kReadOnly };

  // Opens (kReadWrite: or creates) the file. kInternal, kPermissionDenied, kResourceExhausted,
  // kDataLoss when it is no database.
  static absl::StatusOr<std::unique_ptr<SqliteConnection>> Open(const std::string& path, Mode mode);
  ~SqliteConnection() override;

  absl::Status Execute(const std::string& sql) override;
  SqlStatement Prepare(const char* sql) override;
  void Forget() override;
  absl::StatusOr<int64_t> SchemaVersion() override;
  absl::Status MigrateTo(int64_t version) override;
  absl::StatusOr<std::vector<std::string>> CheckIntegrity() override;
  absl::Status BeginSnapshot() override { return Execute("BEGIN"); }

 private:
  explicit SqliteConnection(sqlite3* database) : database_(database) {}

  sqlite3* const database_;
  std::map<const char*, sqlite3_stmt*> statements_;
};

}  // namespace distill::storage
