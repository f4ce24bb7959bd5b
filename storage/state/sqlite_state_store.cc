#include "storage/state/sqlite_state_store.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "storage/state/job_blobs.h"
#include "storage/state/schema.h"
#include "storage/state/sqlite_rows.h"

namespace distill::storage {
namespace {

// Brings the schema to the newest version.
absl::Status Migrate(SqliteConnection& connection, const std::string& path) {
  DISTILL_ASSIGN_OR_RETURN(const int64_t version, connection.QueryInt("PRAGMA user_version"));
  const absl::Span<const char* const> migrations = SchemaMigrations();
  const auto newest = static_cast<int64_t>(migrations.size());
  if (version == newest) return absl::OkStatus();
  if (version > newest) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cannot open state database: its schema is newer than this program, use the newer program "
        "or a backup; path=",
        path, " schema=", version, " supported=", newest));
  }
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
  std::string sql = "BEGIN EXCLUSIVE;\n";
  for (int64_t i = version; i < newest; ++i) {
    absl::StrAppend(&sql, migrations[static_cast<size_t>(i)], "\n");
  }
  absl::StrAppend(&sql, "PRAGMA user_version = ", newest, ";\nCOMMIT;");
  return Annotate(connection.Execute(sql), "cannot migrate state database");
}

// Sets how commits reach the disk, then migrates.
absl::Status Prepare(SqliteConnection& connection, const std::string& path) {
  DISTILL_RETURN_IF_ERROR(connection.Execute(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 1000;"));
  return Migrate(connection, path);
}

// Collects what `read` makes of every row.
template <typename Record, typename Reader>
absl::StatusOr<std::vector<Record>> Rows(SqliteStatement& statement, Reader read) {
  std::vector<Record> records;
  for (;;) {
    DISTILL_ASSIGN_OR_RETURN(const bool row, statement.Step());
    if (!row) return records;
    absl::StatusOr<Record> record = read(statement);
    if (!record.ok()) return record.status();
    records.push_back(*std::move(record));
  }
}

template <typename Record, typename Reader>
absl::StatusOr<Record> OneRow(SqliteStatement& statement, Reader read, absl::string_view noun,
                              absl::string_view id) {
  DISTILL_ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row) {
    return absl::NotFoundError(absl::StrCat("cannot find ", noun, ": no such ", noun, "; id=", id));
  }
  return read(statement);
}

absl::StatusOr<WorkerRecord> ReadWorker(SqliteStatement& row) {
  WorkerRecord worker;
  worker.id = WorkerId(row.ReadText());
  worker.draining = row.ReadInt() != 0;
  return worker;
}

// In plan order, then by number.
absl::StatusOr<std::vector<AttemptRecord>> AttemptsOfJob(SqliteConnection& db, const JobId& job) {
  SqliteStatement rows = db.Prepare(
      "SELECT a.task, a.number, a.lease_id, a.worker, a.acquire_request, a.lease_set, "
      "a.lease_set_size, a.state, a.failure_class, a.charged, a.message, a.start_time, "
      "a.finish_time, a.stats, a.observations FROM tasks t JOIN attempts a ON a.task=t.id "
      "WHERE t.job=? ORDER BY t.plan_index, a.number");
  rows.Text(job.str());
  return Rows<AttemptRecord>(rows, ReadAttempt);
}

absl::StatusOr<EventRecord> ReadEventRow(SqliteStatement& row) { return ReadEvent(row); }

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteStateStore>> SqliteStateStore::Open(const std::string& path) {
  DISTILL_ASSIGN_OR_RETURN(std::unique_ptr<SqliteConnection> writer,
                           SqliteConnection::Open(path, SqliteConnection::Mode::kReadWrite));
  const absl::Status prepared = Prepare(*writer, path);
  if (!prepared.ok()) return Annotate(prepared, absl::StrCat("cannot use ", path));
  return std::unique_ptr<SqliteStateStore>(new SqliteStateStore(path, std::move(writer)));
}

absl::StatusOr<StateImage> SqliteStateStore::Load() {
  SqliteConnection& db = *writer_;
  StateImage image;
  DISTILL_ASSIGN_OR_RETURN(image.last_revision,
                           db.QueryInt("SELECT value FROM meta WHERE name='last_revision'"));
  static const std::string jobs_sql =
      absl::StrCat("SELECT ", kJobColumns, " FROM jobs ORDER BY create_revision");
  SqliteStatement jobs = db.Prepare(jobs_sql.c_str());
  DISTILL_ASSIGN_OR_RETURN(image.jobs, Rows<JobRecord>(jobs, ReadJob));

  static const std::string tasks_sql =
      absl::StrCat("SELECT ", kTaskColumns, " FROM tasks WHERE job=? ORDER BY plan_index");
  for (const JobRecord& job : image.jobs) {
    SqliteStatement tasks = db.Prepare(tasks_sql.c_str());
    tasks.Text(job.id.str());
    DISTILL_ASSIGN_OR_RETURN(std::vector<TaskRecord> rows, Rows<TaskRecord>(tasks, ReadTask));
    for (TaskRecord& task : rows) {
      if (IsTerminal(job.status.state)) task.definition.spec.clear();
      image.tasks.push_back(std::move(task));
    }
    DISTILL_ASSIGN_OR_RETURN(std::vector<AttemptRecord> attempts, AttemptsOfJob(db, job.id));
    for (AttemptRecord& attempt : attempts) image.attempts.push_back(std::move(attempt));
  }
  SqliteStatement blobs =
      db.Prepare("SELECT digest, size_bytes, type, state, create_time FROM blobs ORDER BY digest");
  DISTILL_ASSIGN_OR_RETURN(image.blobs, Rows<BlobRecord>(blobs, ReadBlob));
  SqliteStatement results =
      db.Prepare("SELECT project, task_key, task, outputs FROM results ORDER BY project, task_key");
  DISTILL_ASSIGN_OR_RETURN(image.results, Rows<ResultRecord>(results, ReadResult));
  SqliteStatement requests =
      db.Prepare("SELECT project, request, body, job FROM requests ORDER BY project, request");
  DISTILL_ASSIGN_OR_RETURN(image.requests, Rows<RequestRecord>(requests, ReadRequest));
  SqliteStatement workers = db.Prepare("SELECT id, draining FROM workers ORDER BY id");
  DISTILL_ASSIGN_OR_RETURN(image.workers, Rows<WorkerRecord>(workers, ReadWorker));
  static const std::string datasets_sql =
      absl::StrCat("SELECT ", kDatasetColumns, " FROM datasets ORDER BY name");
  SqliteStatement datasets = db.Prepare(datasets_sql.c_str());
  DISTILL_ASSIGN_OR_RETURN(image.datasets, Rows<DatasetRecord>(datasets, ReadDataset));
  return image;
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

template <typename Query>
auto SqliteStateStore::Read(Query query) const
    -> decltype(query(std::declval<SqliteConnection&>())) {
  Reader reader;
  {
    MutexLock lock(mu_);
    if (!readers_.empty()) {
      reader = std::move(readers_.back());
      readers_.pop_back();
    }
  }
  if (reader == nullptr) {
    DISTILL_ASSIGN_OR_RETURN(reader,
                             SqliteConnection::Open(path_, SqliteConnection::Mode::kReadOnly));
  }
  auto result = query(*reader);
  MutexLock lock(mu_);
  readers_.push_back(std::move(reader));
  return result;
}

absl::StatusOr<JobRecord> SqliteStateStore::GetJob(const JobId& job) const {
  static const std::string sql = absl::StrCat("SELECT ", kJobColumns, " FROM jobs WHERE id=?");
  return Read([&](SqliteConnection& db) -> absl::StatusOr<JobRecord> {
    SqliteStatement row = db.Prepare(sql.c_str());
    row.Text(job.str());
    return OneRow<JobRecord>(row, ReadJob, "job", job.str());
  });
}

absl::StatusOr<std::vector<JobRecord>> SqliteStateStore::ListJobs(
    const JobPageRequest& page) const {
  static const std::string sql =
      absl::StrCat("SELECT ", kJobColumns,
                   " FROM jobs WHERE (?1='' OR project=?1) AND (?2=0 OR create_revision<?2) "
                   "ORDER BY create_revision DESC LIMIT ?3");
  return Read([&](SqliteConnection& db) -> absl::StatusOr<std::vector<JobRecord>> {
    SqliteStatement rows = db.Prepare(sql.c_str());
    rows.Text(page.project.str()).Int(page.before_create_revision).Int(page.limit);
    return Rows<JobRecord>(rows, ReadJob);
  });
}

absl::StatusOr<JobCounts> SqliteStateStore::CountTasks(const JobId& job) const {
  return Read([&](SqliteConnection& db) -> absl::StatusOr<JobCounts> {
    SqliteStatement row = db.Prepare(
        "SELECT COUNT(*), TOTAL(state=4), TOTAL(state=3), TOTAL(state=4 AND reused_from<>'') "
        "FROM tasks WHERE job=?");
    row.Text(job.str());
    DISTILL_ASSIGN_OR_RETURN(const bool any, row.Step());
    JobCounts counts;
    if (any) {
      counts.total = row.ReadInt32();
      counts.succeeded = row.ReadInt32();
      counts.running = row.ReadInt32();
      counts.reused = row.ReadInt32();
    }
    if (counts.total == 0) {
      return absl::NotFoundError(absl::StrCat("cannot find job: no such job; id=", job.str()));
    }
    return counts;
  });
}

absl::StatusOr<TaskRecord> SqliteStateStore::GetTask(const TaskId& task) const {
  static const std::string sql = absl::StrCat("SELECT ", kTaskColumns, " FROM tasks WHERE id=?");
  return Read([&](SqliteConnection& db) -> absl::StatusOr<TaskRecord> {
    SqliteStatement row = db.Prepare(sql.c_str());
    row.Text(task.str());
    return OneRow<TaskRecord>(row, ReadTask, "task", task.str());
  });
}

absl::StatusOr<std::vector<TaskRecord>> SqliteStateStore::ListTasks(const JobId& job,
                                                                    int32_t after_index,
                                                                    int limit) const {
  static const std::string sql =
      absl::StrCat("SELECT ", kTaskColumns,
                   " FROM tasks WHERE job=? AND plan_index>? ORDER BY plan_index LIMIT ?");
  return Read([&](SqliteConnection& db) -> absl::StatusOr<std::vector<TaskRecord>> {
    SqliteStatement rows = db.Prepare(sql.c_str());
    rows.Text(job.str()).Int(after_index).Int(limit);
    return Rows<TaskRecord>(rows, ReadTask);
  });
}

absl::StatusOr<std::vector<AttemptRecord>> SqliteStateStore::ListAttempts(
    const TaskId& task) const {
  static const std::string sql =
      absl::StrCat("SELECT ", kAttemptColumns, " FROM attempts WHERE task=? ORDER BY number");
  return Read([&](SqliteConnection& db) -> absl::StatusOr<std::vector<AttemptRecord>> {
    SqliteStatement rows = db.Prepare(sql.c_str());
    rows.Text(task.str());
    return Rows<AttemptRecord>(rows, ReadAttempt);
  });
}

absl::StatusOr<std::vector<AttemptRecord>> SqliteStateStore::ListJobAttempts(
    const JobId& job) const {
  return Read([&](SqliteConnection& db) { return AttemptsOfJob(db, job); });
}

absl::StatusOr<std::vector<EventRecord>> SqliteStateStore::EventsAfter(const JobId& job,
                                                                       int64_t after_revision,
                                                                       int limit) const {
  static const std::string sql =
      absl::StrCat("SELECT ", kEventColumns,
                   " FROM events WHERE job=? AND revision>? ORDER BY revision LIMIT ?");
  return Read([&](SqliteConnection& db) -> absl::StatusOr<std::vector<EventRecord>> {
    SqliteStatement rows = db.Prepare(sql.c_str());
    rows.Text(job.str()).Int(after_revision).Int(limit);
    return Rows<EventRecord>(rows, ReadEventRow);
  });
}

absl::StatusOr<BlobRecord> SqliteStateStore::GetBlob(const Digest& digest) const {
  return Read([&](SqliteConnection& db) -> absl::StatusOr<BlobRecord> {
    SqliteStatement row =
        db.Prepare("SELECT digest, size_bytes, type, state, create_time FROM blobs WHERE digest=?");
    row.Text(digest.str());
    return OneRow<BlobRecord>(row, ReadBlob, "blob", digest.str());
  });
}

absl::StatusOr<std::vector<BlobRecord>> SqliteStateStore::ListBlobs(
    const ArtifactPageRequest& page) const {
  if (page.job.empty()) {
    return Read([&](SqliteConnection& db) -> absl::StatusOr<std::vector<BlobRecord>> {
      SqliteStatement rows = db.Prepare(
          "SELECT digest, size_bytes, type, state, create_time FROM blobs WHERE digest>? "
          "ORDER BY digest LIMIT ?");
      rows.Text(page.after).Int(page.limit);
      return Rows<BlobRecord>(rows, ReadBlob);
    });
  }
  DISTILL_ASSIGN_OR_RETURN(const JobRecord job, GetJob(page.job));
  DISTILL_ASSIGN_OR_RETURN(const std::vector<TaskRecord> tasks,
                           ListTasks(page.job, -1, std::numeric_limits<int>::max()));
  DISTILL_ASSIGN_OR_RETURN(const std::vector<AttemptRecord> attempts, ListJobAttempts(page.job));
  std::vector<BlobRecord> blobs;
  for (const Digest& digest : BlobsOfJob(job, tasks, attempts)) {
    if (static_cast<int>(blobs.size()) >= page.limit) break;
    if (digest.str() <= page.after) continue;
    absl::StatusOr<BlobRecord> blob = GetBlob(digest);
    if (absl::IsNotFound(blob.status())) continue;  // Retention took it.
    if (!blob.ok()) return blob.status();
    blobs.push_back(*std::move(blob));
  }
  return blobs;
}

absl::StatusOr<DatasetRecord> SqliteStateStore::GetDataset(const DatasetName& name) const {
  static const std::string sql =
      absl::StrCat("SELECT ", kDatasetColumns, " FROM datasets WHERE name=?");
  return Read([&](SqliteConnection& db) -> absl::StatusOr<DatasetRecord> {
    SqliteStatement row = db.Prepare(sql.c_str());
    row.Text(name.str());
    return OneRow<DatasetRecord>(row, ReadDataset, "data set", name.str());
  });
}

absl::StatusOr<std::vector<DatasetRecord>> SqliteStateStore::ListDatasets(const DatasetName& after,
                                                                          int limit) const {
  static const std::string sql =
      absl::StrCat("SELECT ", kDatasetColumns, " FROM datasets WHERE name>? ORDER BY name LIMIT ?");
  return Read([&](SqliteConnection& db) -> absl::StatusOr<std::vector<DatasetRecord>> {
    SqliteStatement rows = db.Prepare(sql.c_str());
    rows.Text(after.str()).Int(limit);
    return Rows<DatasetRecord>(rows, ReadDataset);
  });
}

absl::StatusOr<std::vector<LineageRecord>> SqliteStateStore::Lineage(const Digest& digest) const {
  return Read([&](SqliteConnection& db) -> absl::StatusOr<std::vector<LineageRecord>> {
    SqliteStatement rows = db.Prepare(
        "SELECT digest, task, attempt, output, inputs FROM lineage WHERE digest=? "
        "ORDER BY task, attempt, output");
    rows.Text(digest.str());
    return Rows<LineageRecord>(rows, ReadLineage);
  });
}

}  // namespace distill::storage
