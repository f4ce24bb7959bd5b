#include "storage/state/state_dump.h"

#include <cerrno>
#include <fstream>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "storage/state/schema.h"
#include "storage/state/sqlite_connection.h"

namespace distill::storage {
namespace {

constexpr char kFirstLine[] = "distillery-state 1";
constexpr char kNull[] = "\\N";

enum class ColumnType { kInt, kText, kBlob };

struct Column {
  std::string name;
  ColumnType type = ColumnType::kText;
};

struct Table {
  std::string name;
  std::vector<Column> columns;
};

// The tables of a schema, in an order in which rows may be inserted: the migrations themselves say
// it, run in memory.
absl::StatusOr<std::vector<Table>> TablesOf(int64_t schema) {
  DISTILL_ASSIGN_OR_RETURN(const auto memory,
                           SqliteConnection::Open(":memory:", SqliteConnection::Mode::kReadWrite));
  DISTILL_RETURN_IF_ERROR(memory->MigrateTo(schema));
  std::vector<Table> tables;
  SqlStatement rows = memory->Prepare(
      "SELECT t.name, c.name, c.type FROM sqlite_schema t JOIN pragma_table_info(t.name) c "
      "WHERE t.type='table' AND t.name NOT LIKE 'sqlite_%' ORDER BY t.rowid, c.cid");
  for (;;) {
    DISTILL_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return tables;
    const std::string table = rows.ReadText();
    if (tables.empty() || tables.back().name != table) tables.push_back({table, {}});
    Column column;
    column.name = rows.ReadText();
    const std::string type = rows.ReadText();
    column.type = type == "INTEGER" ? ColumnType::kInt
                  : type == "BLOB"  ? ColumnType::kBlob
                                    : ColumnType::kText;
    tables.back().columns.push_back(std::move(column));
  }
}

std::string NamesOf(const Table& table, absl::string_view separator) {
  return absl::StrJoin(table.columns, separator,
                       [](std::string* out, const Column& column) { out->append(column.name); });
}

void AppendEscaped(absl::string_view text, std::string& line) {
  for (const char character : text) {
    switch (character) {
      case '\t':
        line += "\\t";
        break;
      case '\n':
        line += "\\n";
        break;
      case '\r':
        line += "\\r";
        break;
      case '\0':
        line += "\\0";
        break;
      case '\\':
        line += "\\\\";
        break;
      default:
        line += character;
    }
  }
}

absl::Status Damaged(const std::string& path, absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat("cannot restore state: the dump is damaged: ", what, "; path=", path));
}

// Nothing: no such escape.
std::optional<std::string> Unescaped(absl::string_view field) {
  std::string text;
  for (size_t i = 0; i < field.size(); ++i) {
    if (field[i] != '\\') {
      text += field[i];
      continue;
    }
    if (++i == field.size()) return std::nullopt;
    switch (field[i]) {
      case 't':
        text += '\t';
        break;
      case 'n':
        text += '\n';
        break;
      case 'r':
        text += '\r';
        break;
      case '0':
        text += '\0';
        break;
      case '\\':
        text += '\\';
        break;
      default:
        return std::nullopt;
    }
  }
  return text;
}

// A file that is written line by line, with the digest of all lines.
class DumpWriter {
 public:
  explicit DumpWriter(AtomicFile file) : file_(std::move(file)) {}

  absl::Status Line(absl::string_view line) {
    absl::StrAppend(&buffer_, line, "\n");
    return buffer_.size() < (1 << 20) ? absl::OkStatus() : Flush();
  }
  absl::Status End(int64_t rows) {
    DISTILL_RETURN_IF_ERROR(Flush());
    DISTILL_RETURN_IF_ERROR(
        file_.Append(absl::StrCat("end ", rows, " ", digest_.Finish().str(), "\n")));
    return file_.Commit();
  }

 private:
  absl::Status Flush() {
    digest_.Append(buffer_);
    const absl::Status written = file_.Append(buffer_);
    buffer_.clear();
    return written;
  }

  AtomicFile file_;
  std::string buffer_;
  DigestBuilder digest_;
};

absl::StatusOr<int64_t> WriteTable(SqlConnection& connection, const Table& table,
                                   DumpWriter& dump) {
  DISTILL_RETURN_IF_ERROR(dump.Line(absl::StrCat("table ", table.name, " ", NamesOf(table, " "))));
  const std::string sql = absl::StrCat("SELECT ", NamesOf(table, ", "), " FROM ", table.name);
  connection.Forget();
  SqlStatement row = connection.Prepare(sql.c_str());
  for (int64_t rows = 0;; ++rows) {
    DISTILL_ASSIGN_OR_RETURN(const bool any, row.Step());
    if (!any) return rows;
    std::string line;
    for (const Column& column : table.columns) {
      if (&column != &table.columns.front()) line += '\t';
      if (row.NextIsNull()) {
        absl::StrAppend(&line, kNull);
        row.ReadText();
      } else if (column.type == ColumnType::kInt) {
        absl::StrAppend(&line, row.ReadInt());
      } else if (column.type == ColumnType::kBlob) {
        absl::StrAppend(&line, "\\x", absl::BytesToHexString(row.ReadText()));
      } else {
        AppendEscaped(row.ReadText(), line);
      }
    }
    DISTILL_RETURN_IF_ERROR(dump.Line(line));
  }
}

// Compares the digest in the last line with the rest.
absl::StatusOr<StateDumpInfo> CheckDump(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return ErrnoStatus(errno, "read", path);
  DigestBuilder digest;
  StateDumpInfo info;
  std::string line;
  for (int64_t number = 0; std::getline(file, line); ++number) {
    if (number == 0 && line != kFirstLine) return Damaged(path, "it is no dump of this program");
    if (number == 1 &&
        (!absl::StartsWith(line, "schema ") || !absl::SimpleAtoi(line.substr(7), &info.schema))) {
      return Damaged(path, "no schema");
    }
    if (absl::StartsWith(line, "end ")) {
      const std::vector<std::string> words = absl::StrSplit(line, ' ');
      if (words.size() != 3 || !absl::SimpleAtoi(words[1], &info.rows) ||
          words[2] != digest.Finish().str()) {
        return Damaged(path, "its digest does not match");
      }
      return info;
    }
    digest.Append(line);
    digest.Append("\n");
  }
  return Damaged(path, "it has no end");
}

absl::Status BindField(absl::string_view field, ColumnType type, SqlStatement& row) {
  if (field == kNull) {
    row.Null();
    return absl::OkStatus();
  }
  if (type == ColumnType::kInt) {
    int64_t value = 0;
    if (!absl::SimpleAtoi(field, &value)) return absl::DataLossError("a number is none");
    row.Int(value);
    return absl::OkStatus();
  }
  if (type == ColumnType::kBlob) {
    if (!absl::ConsumePrefix(&field, "\\x")) return absl::DataLossError("a blob is none");
    row.Blob(absl::HexStringToBytes(field));
    return absl::OkStatus();
  }
  const std::optional<std::string> text = Unescaped(field);
  if (!text.has_value()) return absl::DataLossError("an unknown escape");
  row.Text(*text);
  return absl::OkStatus();
}

// Where the rows that follow go.
struct Target {
  Table table;
  std::string sql;
};

absl::StatusOr<Target> TargetOf(const std::string& line, const std::vector<Table>& tables) {
  const std::vector<std::string> words = absl::StrSplit(line, ' ');
  for (const Table& table : tables) {
    if (words.size() < 2 || words[1] != table.name) continue;
    if (line != absl::StrCat("table ", table.name, " ", NamesOf(table, " "))) break;
    const std::vector<std::string> marks(table.columns.size(), "?");
    return Target{table, absl::StrCat("INSERT INTO ", table.name, " (", NamesOf(table, ", "),
                                      ") VALUES (", absl::StrJoin(marks, ","), ")")};
  }
  return absl::DataLossError(absl::StrCat("no such table: ", line));
}

absl::Status InsertRows(const std::string& path, const std::vector<Table>& tables,
                        SqlConnection& connection) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return ErrnoStatus(errno, "read", path);
  std::string line;
  std::getline(file, line);
  std::getline(file, line);
  Target target;
  while (std::getline(file, line) && !absl::StartsWith(line, "end ")) {
    if (absl::StartsWith(line, "table ")) {
      DISTILL_ASSIGN_OR_RETURN(target, TargetOf(line, tables));
      connection.Forget();
      // The schema brought its own first rows.
      DISTILL_RETURN_IF_ERROR(connection.Execute(absl::StrCat("DELETE FROM ", target.table.name)));
      continue;
    }
    const std::vector<absl::string_view> fields = absl::StrSplit(line, '\t');
    if (fields.size() != target.table.columns.size()) return Damaged(path, "a row is cut");
    SqlStatement row = connection.Prepare(target.sql.c_str());
    for (size_t i = 0; i < fields.size(); ++i) {
      DISTILL_RETURN_IF_ERROR(
          Annotate(BindField(fields[i], target.table.columns[i].type, row), path));
    }
    DISTILL_RETURN_IF_ERROR(row.Run());
  }
  return absl::OkStatus();
}

absl::Status Fill(const std::string& path, int64_t schema, SqlConnection& connection) {
  DISTILL_ASSIGN_OR_RETURN(const std::vector<Table> tables, TablesOf(schema));
  DISTILL_RETURN_IF_ERROR(connection.MigrateTo(schema));
  DISTILL_RETURN_IF_ERROR(InsertRows(path, tables, connection));
  DISTILL_RETURN_IF_ERROR(connection.MigrateTo(static_cast<int64_t>(SchemaMigrations().size())));
  return connection.Execute("COMMIT");
}

}  // namespace

absl::StatusOr<StateDumpInfo> WriteStateDump(SqlConnection& connection, const std::string& path) {
  DISTILL_RETURN_IF_ERROR(connection.BeginSnapshot());
  StateDumpInfo info;
  DISTILL_ASSIGN_OR_RETURN(info.schema, connection.SchemaVersion());
  DISTILL_RETURN_IF_ERROR(CheckSchemaVersion(info.schema));
  if (info.schema == 0) {
    return absl::FailedPreconditionError("cannot back up state: the database holds none");
  }
  DISTILL_ASSIGN_OR_RETURN(const std::vector<Table> tables, TablesOf(info.schema));
  DISTILL_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  DumpWriter dump(std::move(file));
  DISTILL_RETURN_IF_ERROR(dump.Line(kFirstLine));
  DISTILL_RETURN_IF_ERROR(dump.Line(absl::StrCat("schema ", info.schema)));
  for (const Table& table : tables) {
    DISTILL_ASSIGN_OR_RETURN(const int64_t rows, WriteTable(connection, table, dump));
    info.rows += rows;
  }
  DISTILL_RETURN_IF_ERROR(dump.End(info.rows));
  connection.Forget();
  DISTILL_RETURN_IF_ERROR(connection.Execute("COMMIT"));
  return info;
}

absl::StatusOr<StateDumpInfo> RestoreStateDump(const std::string& path, SqlConnection& connection) {
  DISTILL_ASSIGN_OR_RETURN(const StateDumpInfo info, CheckDump(path));
  DISTILL_RETURN_IF_ERROR(CheckSchemaVersion(info.schema));
  DISTILL_RETURN_IF_ERROR(connection.Execute("BEGIN"));
  DISTILL_ASSIGN_OR_RETURN(const int64_t present, connection.SchemaVersion());
  if (present != 0) {
    connection.Execute("ROLLBACK").IgnoreError();
    return absl::FailedPreconditionError(
        "cannot restore state: the database is not empty; restore into a new one");
  }
  const absl::Status filled = Fill(path, info.schema, connection);
  connection.Forget();
  if (filled.ok()) return info;
  connection.Execute("ROLLBACK").IgnoreError();
  return Annotate(filled, "cannot restore state");
}

}  // namespace distill::storage
