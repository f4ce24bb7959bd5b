#include "storage/state/postgres_connection.h"

#include <libpq-fe.h>
#include <poll.h>

#include <array>
#include <cerrno>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/log.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "storage/state/schema.h"

namespace distill::storage {
namespace {

// Of PostgreSQL's catalog; fixed for ever.
constexpr unsigned kByteaType = 17;
constexpr unsigned kBigintType = 20;
constexpr unsigned kTextType = 25;
constexpr int kBinary = 1;

std::string BigEndian(int64_t value) {
  std::string bytes(8, '\0');
  auto bits = static_cast<uint64_t>(value);
  for (size_t i = 8; i-- > 0; bits >>= 8) bytes[i] = static_cast<char>(bits & 0xff);
  return bytes;
}

// Length of the valid UTF-8 sequence at the start of `text`; 0: none.
size_t SequenceLength(absl::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return first == 0 ? 0 : 1;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  uint32_t code = first & (0xffU >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xc0) != 0x80) return 0;
    code = (code << 6) | (next & 0x3f);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  return overlong || surrogate || code > 0x10ffff ? 0 : length;
}

std::string ValidText(absl::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    if (length == 0) {
      valid += '?';
      text.remove_prefix(1);
    } else {
      valid.append(text.data(), length);
      text.remove_prefix(length);
    }
  }
  return valid;
}

// Writes $1 for ?, as PostgreSQL wants it.
std::string Numbered(absl::string_view sql) {
  std::string numbered;
  int next = 1;
  bool quoted = false;
  for (size_t i = 0; i < sql.size(); ++i) {
    if (sql[i] == '\'') quoted = !quoted;
    if (sql[i] != '?' || quoted) {
      numbered += sql[i];
    } else if (i + 1 < sql.size() && absl::ascii_isdigit(static_cast<unsigned char>(sql[i + 1]))) {
      numbered += '$';
      next = sql[i + 1] - '0' + 1;
    } else {
      absl::StrAppend(&numbered, "$", next++);
    }
  }
  return numbered;
}

absl::StatusCode CodeOf(absl::string_view sqlstate) {
  using Row = std::pair<absl::string_view, absl::StatusCode>;
  // By the longest prefix that comes first.
  static constexpr std::array<Row, 13> kCodes = {{
      {"08", absl::StatusCode::kUnavailable},          // Connection lost.
      {"57014", absl::StatusCode::kDeadlineExceeded},  // Statement timeout.
      {"57P", absl::StatusCode::kUnavailable},         // The database is stopping or starting.
      {"25P03", absl::StatusCode::kUnavailable},       // Idle in a transaction for too long.
      {"55P03", absl::StatusCode::kUnavailable},       // Lock timeout.
      {"53300", absl::StatusCode::kUnavailable},       // Too many connections.
      {"53", absl::StatusCode::kResourceExhausted},    // Disk full, out of memory.
      {"40", absl::StatusCode::kAborted},              // Deadlock, serialisation.
      {"42501", absl::StatusCode::kPermissionDenied},
      {"28", absl::StatusCode::kPermissionDenied},
      {"3D000", absl::StatusCode::kFailedPrecondition},  // No such database.
      {"23514", absl::StatusCode::kFailedPrecondition},  // CHECK: see the message.
      {"XX00", absl::StatusCode::kDataLoss},
  }};
  for (const auto& [prefix, code] : kCodes) {
    if (absl::StartsWith(sqlstate, prefix)) return code;
  }
  return absl::StatusCode::kInternal;
}

std::string OneLine(const char* message) {
  return absl::StrReplaceAll(absl::StripAsciiWhitespace(message == nullptr ? "" : message),
                             {{"\n", " "}});
}

void LogNotice(void*, const char* message) {
  LogDebug("postgresql says", {{"notice", OneLine(message)}});
}

class PostgresCursor : public SqlCursor {
 public:
  PostgresCursor(PostgresConnection& connection, const char* sql)
      : connection_(connection), sql_(sql) {}
  ~PostgresCursor() override { PQclear(result_); }
  PostgresCursor(const PostgresCursor&) = delete;
  PostgresCursor& operator=(const PostgresCursor&) = delete;

  absl::Status BindText(int, absl::string_view text) override {
    parameters_.push_back({kTextType, false, ValidText(text)});
    return absl::OkStatus();
  }
  absl::Status BindBlob(int, absl::string_view bytes) override {
    parameters_.push_back({kByteaType, false, std::string(bytes)});
    return absl::OkStatus();
  }
  absl::Status BindInt(int, int64_t value) override {
    parameters_.push_back({kBigintType, false, BigEndian(value)});
    return absl::OkStatus();
  }
  absl::Status BindNull(int) override {
    parameters_.push_back({kBigintType, true, ""});
    return absl::OkStatus();
  }

  absl::StatusOr<bool> Step() override {
    if (result_ == nullptr) {
      DISTILL_ASSIGN_OR_RETURN(result_, connection_.RunForRows(sql_, parameters_));
    } else {
      ++row_;
    }
    return row_ < PQntuples(result_);
  }
  absl::Status Run(absl::string_view id_of_one_row) override {
    return connection_.RunWithoutRows(sql_, parameters_, id_of_one_row);
  }

  bool IsNull(int column) const override { return PQgetisnull(result_, row_, column) != 0; }
  int64_t Int(int column) const override {
    uint64_t bits = 0;
    const std::string bytes = Bytes(column);
    for (const char byte : bytes) bits = (bits << 8) | static_cast<unsigned char>(byte);
    // Computed columns may be of four bytes.
    if (bytes.size() == 4) return static_cast<int32_t>(static_cast<uint32_t>(bits));
    return static_cast<int64_t>(bits);
  }
  std::string Bytes(int column) const override {
    return std::string(PQgetvalue(result_, row_, column),
                       static_cast<size_t>(PQgetlength(result_, row_, column)));
  }

 private:
  PostgresConnection& connection_;
  const char* const sql_;
  std::vector<PostgresConnection::Parameter> parameters_;
  PGresult* result_ = nullptr;
  int row_ = 0;
};

}  // namespace

absl::Status ValidatePostgresConninfo(const std::string& conninfo) {
  char* error = nullptr;
  PQconninfoOption* options = PQconninfoParse(conninfo.c_str(), &error);
  if (options == nullptr) {
    // The message may quote what was meant to be secret.
    PQfreemem(error);
    return absl::InvalidArgumentError(
        "cannot read --postgres: want libpq's words, such as \"host=db dbname=distill "
        "user=distill\" or postgresql://distill@db/distill");
  }
  bool has_password = false;
  for (const PQconninfoOption* option = options; option->keyword != nullptr; ++option) {
    has_password |= absl::string_view(option->keyword) == "password" && option->val != nullptr;
  }
  PQconninfoFree(options);
  if (!has_password) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "cannot use --postgres: it holds a password, which every user of this machine can see; put "
      "it "
      "into a file named by passfile= or PGPASSFILE, or into PGPASSWORD");
}

void PostgresConnection::ResultDeleter::operator()(pg_result* result) const { PQclear(result); }

absl::StatusOr<std::unique_ptr<PostgresConnection>> PostgresConnection::Open(
    const PostgresOptions& options) {
  DISTILL_RETURN_IF_ERROR(ValidatePostgresConninfo(options.conninfo));
  // Those before dbname are defaults, which the connection string may override.
  const std::array<const char*, 9> keywords = {
      "connect_timeout",  "keepalives_idle",  "keepalives_interval",
      "keepalives_count", "tcp_user_timeout", "dbname",
      "application_name", "client_encoding",  nullptr};
  const std::array<const char*, 9> values = {
      "2",    "5",    "2", "3", "10000", options.conninfo.c_str(), options.application_name.c_str(),
      "UTF8", nullptr};
  PGconn* raw = PQconnectdbParams(keywords.data(), values.data(), /*expand_dbname=*/1);
  auto connection =
      std::unique_ptr<PostgresConnection>(new PostgresConnection(raw, options.reply_timeout));
  if (PQstatus(raw) != CONNECTION_OK) {
    const bool refused = PQconnectionNeedsPassword(raw) != 0 || PQconnectionUsedPassword(raw) != 0;
    const std::string message =
        absl::StrCat("cannot connect to PostgreSQL: ", OneLine(PQerrorMessage(raw)));
    return refused ? absl::PermissionDeniedError(message) : absl::UnavailableError(message);
  }
  DISTILL_RETURN_IF_ERROR(connection->SetUp());
  return connection;
}

absl::Status PostgresConnection::SetUp() {
  PQsetNoticeProcessor(connection_, LogNotice, nullptr);
  if (PQsetnonblocking(connection_, 1) != 0) return ConnectionError("set up connection");
  // A stopped or cut-off writer must not hold locks for ever; neither may the administrator's
  // defaults weaken what "durable" means.
  return Execute(
      "SET statement_timeout = '30s'; SET lock_timeout = '10s'; "
      "SET idle_in_transaction_session_timeout = '10s'; SET TimeZone = 'UTC'; "
      "DO $$ BEGIN IF current_setting('synchronous_commit') IN ('off', 'local') THEN "
      "PERFORM set_config('synchronous_commit', 'on', false); END IF; END $$");
}

PostgresConnection::~PostgresConnection() { PQfinish(connection_); }

absl::Status PostgresConnection::ConnectionError(absl::string_view action) const {
  return absl::UnavailableError(
      absl::StrCat("cannot ", action, ": postgresql: ", OneLine(PQerrorMessage(connection_))));
}

absl::Status PostgresConnection::WaitForSocket(bool want_write) const {
  pollfd descriptor = {};
  descriptor.fd = PQsocket(connection_);
  descriptor.events = static_cast<short>(POLLIN | (want_write ? POLLOUT : 0));
  for (;;) {
    const int ready =
        poll(&descriptor, 1, static_cast<int>(absl::ToInt64Milliseconds(reply_timeout_)));
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno == EINTR) continue;
    return absl::UnavailableError(absl::StrCat("cannot wait for PostgreSQL: no answer within ",
                                               absl::FormatDuration(reply_timeout_),
                                               "; is the network cut?"));
  }
}

absl::StatusOr<PostgresConnection::Result> PostgresConnection::NextResult() {
  int unsent = PQflush(connection_);
  while (unsent != 0 || PQisBusy(connection_) != 0) {
    if (unsent < 0) return ConnectionError("send to database");
    DISTILL_RETURN_IF_ERROR(WaitForSocket(unsent > 0));
    if (PQconsumeInput(connection_) == 0) return ConnectionError("read from database");
    unsent = PQflush(connection_);
  }
  return Result(PQgetResult(connection_));
}

absl::Status PostgresConnection::CheckResult(const pg_result* result,
                                             absl::string_view action) const {
  switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_PIPELINE_SYNC:
      return absl::OkStatus();
    default:
      break;
  }
  const char* sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  if (sqlstate == nullptr) return ConnectionError(action);
  const char* primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  return absl::Status(
      CodeOf(sqlstate),
      absl::StrCat("cannot ", action, ": postgresql: ", OneLine(primary), "; sqlstate=", sqlstate));
}

absl::StatusOr<PostgresConnection::Result> PostgresConnection::AwaitCommand() {
  Result last;
  absl::Status status;
  for (;;) {
    DISTILL_ASSIGN_OR_RETURN(Result result, NextResult());
    if (result == nullptr) break;
    if (status.ok()) status = CheckResult(result.get(), "run statement");
    last = std::move(result);
  }
  if (!status.ok()) return status;
  if (last == nullptr) return ConnectionError("run statement");
  return last;
}

absl::Status PostgresConnection::Execute(const std::string& sql) {
  if (PQsendQuery(connection_, sql.c_str()) == 0) return ConnectionError("send statement");
  DISTILL_ASSIGN_OR_RETURN(const Result result, AwaitCommand());
  // COMMIT of a transaction that has failed succeeds, by rolling it back.
  if (sql == "COMMIT" && absl::string_view(PQcmdStatus(result.get())) != "COMMIT") {
    return absl::AbortedError("cannot commit: postgresql rolled the transaction back");
  }
  return absl::OkStatus();
}

SqlStatement PostgresConnection::Prepare(const char* sql) {
  return SqlStatement(std::make_unique<PostgresCursor>(*this, sql), absl::OkStatus());
}

void PostgresConnection::Forget() {
  // Their names live on in the session, which is short, and are not used again.
  statements_.clear();
}

absl::StatusOr<int64_t> PostgresConnection::SchemaVersion() {
  DISTILL_ASSIGN_OR_RETURN(
      const int64_t absent,
      QueryInt("SELECT CASE WHEN to_regclass('distill_schema') IS NULL THEN 1 ELSE 0 END"));
  if (absent != 0) return 0;
  return QueryInt("SELECT COALESCE(MAX(version), 0) FROM distill_schema");
}

absl::Status PostgresConnection::MigrateTo(int64_t version) {
  DISTILL_ASSIGN_OR_RETURN(const int64_t present, SchemaVersion());
  if (present >= version) return absl::OkStatus();
  if (present == 0) {
    DISTILL_RETURN_IF_ERROR(
        Execute("CREATE TABLE IF NOT EXISTS distill_schema (version BIGINT PRIMARY KEY)"));
  }
  for (int64_t i = present; i < version; ++i) {
    DISTILL_RETURN_IF_ERROR(
        Annotate(Execute(PostgresSchema(SchemaMigrations()[static_cast<size_t>(i)])),
                 absl::StrCat("cannot migrate state database to schema ", i + 1)));
  }
  LogInfo("state database migrated", {{"from", present}, {"to", version}});
  return Prepare("INSERT INTO distill_schema VALUES (?)").Int(version).Run();
}

absl::Status PostgresConnection::BeginSnapshot() {
  return Execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
}

absl::Status PostgresConnection::SendPrepare(Prepared& prepared,
                                             const std::vector<Parameter>& parameters) {
  std::vector<Oid> types;
  for (const Parameter& parameter : parameters) types.push_back(parameter.type);
  if (PQsendPrepare(connection_, prepared.name.c_str(), prepared.sql.c_str(),
                    static_cast<int>(types.size()), types.data()) == 0) {
    return ConnectionError("prepare statement");
  }
  return absl::OkStatus();
}

absl::Status PostgresConnection::SendRun(const Prepared& prepared,
                                         const std::vector<Parameter>& parameters) {
  std::vector<const char*> values;
  std::vector<int> lengths;
  for (const Parameter& parameter : parameters) {
    values.push_back(parameter.is_null ? nullptr : parameter.bytes.data());
    lengths.push_back(static_cast<int>(parameter.bytes.size()));
  }
  const std::vector<int> formats(parameters.size(), kBinary);
  if (PQsendQueryPrepared(connection_, prepared.name.c_str(), static_cast<int>(values.size()),
                          values.data(), lengths.data(), formats.data(), kBinary) == 0) {
    return ConnectionError("send statement");
  }
  return absl::OkStatus();
}

absl::Status PostgresConnection::Send(const char* sql, const std::vector<Parameter>& parameters,
                                      absl::string_view id_of_one_row) {
  Prepared& prepared = statements_[sql];
  if (prepared.name.empty()) {
    prepared = {absl::StrCat("s", next_name_++), Numbered(sql)};
    DISTILL_RETURN_IF_ERROR(SendPrepare(prepared, parameters));
    if (in_batch_) {
      expected_.emplace_back();
    } else {
      const absl::Status status = AwaitCommand().status();
      if (!status.ok()) statements_.erase(sql);
      DISTILL_RETURN_IF_ERROR(status);
    }
  }
  DISTILL_RETURN_IF_ERROR(SendRun(prepared, parameters));
  if (in_batch_) expected_.push_back({std::string(id_of_one_row)});
  return absl::OkStatus();
}

absl::StatusOr<pg_result*> PostgresConnection::RunForRows(
    const char* sql, const std::vector<Parameter>& parameters) {
  DISTILL_RETURN_IF_ERROR(Send(sql, parameters, ""));
  DISTILL_ASSIGN_OR_RETURN(Result result, AwaitCommand());
  return result.release();
}

absl::Status PostgresConnection::CheckOneRow(pg_result* result, absl::string_view id) {
  if (id.empty() || absl::string_view(PQcmdTuples(result)) == "1") return absl::OkStatus();
  return absl::InternalError(absl::StrCat("cannot commit: unknown row; id=", id));
}

absl::Status PostgresConnection::RunWithoutRows(const char* sql,
                                                const std::vector<Parameter>& parameters,
                                                absl::string_view id_of_one_row) {
  DISTILL_RETURN_IF_ERROR(Send(sql, parameters, id_of_one_row));
  if (in_batch_) return absl::OkStatus();
  DISTILL_ASSIGN_OR_RETURN(const Result result, AwaitCommand());
  return CheckOneRow(result.get(), id_of_one_row);
}

absl::Status PostgresConnection::BeginBatch() {
  if (PQenterPipelineMode(connection_) == 0) return ConnectionError("begin batch");
  in_batch_ = true;
  return absl::OkStatus();
}

absl::Status PostgresConnection::EndBatch() {
  if (PQpipelineSync(connection_) == 0) return ConnectionError("send batch");
  absl::Status status;
  for (; !expected_.empty(); expected_.pop_front()) {
    DISTILL_ASSIGN_OR_RETURN(const Result result, NextResult());
    if (result == nullptr) return ConnectionError("read from database");
    if (status.ok()) status = CheckResult(result.get(), "run statement");
    if (status.ok()) status = CheckOneRow(result.get(), expected_.front().id_of_one_row);
    DISTILL_ASSIGN_OR_RETURN(const Result end, NextResult());
    if (end != nullptr) return absl::InternalError("cannot read batch: one result too many");
  }
  DISTILL_ASSIGN_OR_RETURN(const Result sync, NextResult());
  if (PQresultStatus(sync.get()) != PGRES_PIPELINE_SYNC) return ConnectionError("end batch");
  if (PQexitPipelineMode(connection_) == 0) return ConnectionError("end batch");
  in_batch_ = false;
  return status;
}

std::string PostgresSchema(absl::string_view migration) {
  std::string sql;
  for (const absl::string_view line : absl::StrSplit(migration, '\n')) {
    absl::StrAppend(&sql, line.substr(0, line.find("--")), "\n");
  }
  // Text in the order of its bytes, as SQLite and the stores' contracts have it.
  return absl::StrReplaceAll(sql, {{") STRICT, WITHOUT ROWID", ")"},
                                   {") STRICT", ")"},
                                   {" INTEGER", " BIGINT"},
                                   {" BLOB", " BYTEA"},
                                   {" TEXT", " TEXT COLLATE \"C\""},
                                   {" x''", " ''"}});
}

}  // namespace distill::storage
