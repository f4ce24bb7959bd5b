// What the state stores ask of an SQL database: prepared statements with values bound in order. The
// records become rows through this alone, so each is described once for all databases.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace distill::storage {

// One use of a prepared statement, as a database provides it.
class SqlCursor {
 public:
  virtual ~SqlCursor() = default;

  // Parameters are numbered from 1.
  virtual absl::Status BindText(int parameter, absl::string_view text) = 0;
  virtual absl::Status BindBlob(int parameter, absl::string_view bytes) = 0;
  virtual absl::Status BindInt(int parameter, int64_t value) = 0;
  virtual absl::Status BindNull(int parameter) = 0;

  // True when there is a row, false at the end.
  virtual absl::StatusOr<bool> Step() = 0;
  // Runs a statement without rows. With an id, exactly one row must have changed: memory and disk
  // of the server disagree otherwise (kInternal). An error may come only at the end of the
  // transaction.
  virtual absl::Status Run(absl::string_view id_of_one_row) = 0;

  // Columns of the current row are numbered from 0.
  virtual bool IsNull(int column) const = 0;
  virtual int64_t Int(int column) const = 0;
  // Of a text or a blob.
  virtual std::string Bytes(int column) const = 0;
};

// Binds in order, steps, reads columns in order. The first error sticks and is returned by Step()
// or Run(). Ends with its scope.
class SqlStatement {
 public:
  SqlStatement(std::unique_ptr<SqlCursor> cursor, absl::Status status);

  // Bind the next parameter.
  SqlStatement& Text(absl::string_view text);
  SqlStatement& Blob(absl::string_view bytes);
  SqlStatement& Int(int64_t value);
  SqlStatement& Time(absl::Time time);  // kUnsetTime becomes NULL.
  SqlStatement& Null();

  absl::StatusOr<bool> Step();
  // For statements without rows.
  absl::Status Run();
  // The same, when exactly one row must change.
  absl::Status RunOnOneRow(absl::string_view id);

  // Read the next column of the current row.
  std::string ReadText();
  int64_t ReadInt();
  int32_t ReadInt32() { return static_cast<int32_t>(ReadInt()); }
  absl::Time ReadTime();
  // Whether the column that is read next is NULL.
  bool NextIsNull() const { return cursor_->IsNull(next_column_); }

 private:
  std::unique_ptr<SqlCursor> cursor_;
  absl::Status status_;
  int next_parameter_ = 1;
  int next_column_ = 0;
};

// One thread at a time.
class SqlConnection {
 public:
  virtual ~SqlConnection() = default;
  SqlConnection() = default;
  SqlConnection(const SqlConnection&) = delete;
  SqlConnection& operator=(const SqlConnection&) = delete;

  // Runs statements that return no rows, such as a schema.
  virtual absl::Status Execute(const std::string& sql) = 0;
  // `sql` stays at its address: it is prepared once and kept. Parameters are ? or, where one is
  // used twice, ?1, ?2.
  virtual SqlStatement Prepare(const char* sql) = 0;

  // Drops what was prepared, so that the texts may go. No statement may be in use.
  virtual void Forget() = 0;

  // Which migrations the database has seen; 0: it holds no state.
  virtual absl::StatusOr<int64_t> SchemaVersion() = 0;
  // Runs those up to `version` that are missing, inside the caller's transaction.
  virtual absl::Status MigrateTo(int64_t version) = 0;
  // Has the database examine itself. What is wrong, in its words.
  virtual absl::StatusOr<std::vector<std::string>> CheckIntegrity() = 0;
  // Begins a transaction that only reads, and sees the database as it is now.
  virtual absl::Status BeginSnapshot() = 0;

  absl::StatusOr<int64_t> QueryInt(const char* sql);
};

}  // namespace distill::storage
