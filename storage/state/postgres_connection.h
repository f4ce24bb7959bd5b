// A thin owner of one connection to PostgreSQL and its prepared statements; the only file that
// knows libpq, and where SQLSTATE codes become absl ones.
//
// Replies are awaited with a limit, since a network may swallow them: kUnavailable then. Text is
// made valid UTF-8 without NUL bytes, which is all that PostgreSQL keeps: what is not becomes '?'.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "storage/state/sql_connection.h"

struct pg_conn;
struct pg_result;

namespace distill::storage {

struct PostgresOptions {
  // "host=db dbname=distill" or "postgresql://db/distill"; without a password, which libpq takes
  // from PGPASSWORD, PGPASSFILE or passfile=.
  std::string conninfo;
  // What the database's own lists of sessions show.
  std::string application_name = "distill";
  // Longest wait for the next bytes of a reply.
  absl::Duration reply_timeout = absl::Seconds(10);
};

// kInvalidArgument for text that libpq does not understand, and for one with a password: command
// lines are for all to see.
absl::Status ValidatePostgresConninfo(const std::string& conninfo);

// One thread at a time.
class PostgresConnection : public SqlConnection {
 public:
  // kUnavailable, kPermissionDenied, kInvalidArgument.
  static absl::StatusOr<std::unique_ptr<PostgresConnection>> Open(const PostgresOptions& options);
  ~PostgresConnection() override;

  absl::Status Execute(const std::string& sql) override;
  SqlStatement Prepare(const char* sql) override;
  void Forget() override;
  absl::StatusOr<int64_t> SchemaVersion() override;
  absl::Status MigrateTo(int64_t version) override;
  // Nothing: PostgreSQL checks pages as it reads them; amcheck and pg_amcheck do more.
  absl::StatusOr<std::vector<std::string>> CheckIntegrity() override {
    return std::vector<std::string>();
  }
  absl::Status BeginSnapshot() override;

  // From here on Run() only queues its statement; nothing may Step() or Execute().
  absl::Status BeginBatch();
  // Sends what was queued and waits for all of it, in one round trip. The first error.
  absl::Status EndBatch();

  struct Parameter {
    unsigned type = 0;
    bool is_null = false;
    std::string bytes;  // In PostgreSQL's binary format.
  };
  // For cursors. Runs a prepared statement outside a batch.
  absl::StatusOr<pg_result*> RunForRows(const char* sql, const std::vector<Parameter>& parameters);
  // Runs or queues one without rows.
  absl::Status RunWithoutRows(const char* sql, const std::vector<Parameter>& parameters,
                              absl::string_view id_of_one_row);

 private:
  struct Prepared {
    std::string name;
    std::string sql;  // With $1 for ?.
  };
  // What a queued statement must come to.
  struct Expected {
    std::string id_of_one_row;
  };
  struct ResultDeleter {
    void operator()(pg_result* result) const;
  };
  using Result = std::unique_ptr<pg_result, ResultDeleter>;

  PostgresConnection(pg_conn* connection, absl::Duration reply_timeout)
      : connection_(connection), reply_timeout_(reply_timeout) {}

  absl::Status SetUp();
  // Queues the preparation of `sql` if it is new, and its run.
  absl::Status Send(const char* sql, const std::vector<Parameter>& parameters,
                    absl::string_view id_of_one_row);
  absl::Status SendPrepare(Prepared& prepared, const std::vector<Parameter>& parameters);
  absl::Status SendRun(const Prepared& prepared, const std::vector<Parameter>& parameters);
  // The next result of the current command; null at its end.
  absl::StatusOr<Result> NextResult();
  // All results of a command outside a batch: the last one, or the first error.
  absl::StatusOr<Result> AwaitCommand();
  absl::Status CheckResult(const pg_result* result, absl::string_view action) const;
  static absl::Status CheckOneRow(pg_result* result, absl::string_view id);
  absl::Status ConnectionError(absl::string_view action) const;
  absl::Status WaitForSocket(bool want_write) const;

  pg_conn* const connection_;
  const absl::Duration reply_timeout_;
  std::map<const char*, Prepared> statements_;
  int64_t next_name_ = 1;
  bool in_batch_ = false;
  std::deque<Expected> expected_;
};

// PostgreSQL's words for a schema in the common dialect (schema.h).
std::string PostgresSchema(absl::string_view migration);

}  // namespace distill::storage
