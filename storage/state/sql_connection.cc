#include "storage/state/sql_connection.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "storage/state/records.h"

namespace distill::storage {

SqlStatement::SqlStatement(std::unique_ptr<SqlCursor> cursor, absl::Status status)
    : cursor_(std::move(cursor)), status_(std::move(status)) {}

SqlStatement& SqlStatement::Text(absl::string_view text) {
  if (status_.ok()) status_ = cursor_->BindText(next_parameter_++, text);
  return *this;
}

SqlStatement& SqlStatement::Blob(absl::string_view bytes) {
  if (status_.ok()) status_ = cursor_->BindBlob(next_parameter_++, bytes);
  return *this;
}

SqlStatement& SqlStatement::Int(int64_t value) {
  if (status_.ok()) status_ = cursor_->BindInt(next_parameter_++, value);
  return *this;
}

SqlStatement& SqlStatement::Null() {
  if (status_.ok()) status_ = cursor_->BindNull(next_parameter_++);
  return *this;
}

SqlStatement& SqlStatement::Time(absl::Time time) {
  return time == kUnsetTime ? Null() : Int(absl::ToUnixMicros(time));
}

absl::StatusOr<bool> SqlStatement::Step() {
  if (!status_.ok()) return status_;
  next_column_ = 0;
  absl::StatusOr<bool> row = cursor_->Step();
  status_ = row.status();
  return row;
}

absl::Status SqlStatement::Run() { return RunOnOneRow(""); }

absl::Status SqlStatement::RunOnOneRow(absl::string_view id) {
  if (status_.ok()) status_ = cursor_->Run(id);
  return status_;
}

std::string SqlStatement::ReadText() { return cursor_->Bytes(next_column_++); }

int64_t SqlStatement::ReadInt() { return cursor_->Int(next_column_++); }

absl::Time SqlStatement::ReadTime() {
  const int column = next_column_++;
  if (cursor_->IsNull(column)) return kUnsetTime;
  return absl::FromUnixMicros(cursor_->Int(column));
}

absl::StatusOr<int64_t> SqlConnection::QueryInt(const char* sql) {
  SqlStatement statement = Prepare(sql);
  DISTILL_ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row) return absl::InternalError(absl::StrCat("cannot run statement: no row; sql=", sql));
  return statement.ReadInt();
}

}  // namespace distill::storage
