#include "storage/state/sql_state_store.h"

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error_details.h"
#include "base/status_macros.h"
#include "storage/state/job_blobs.h"
#include "storage/state/sql_rows.h"

namespace distill::storage {
namespace {

// Collects what `read` makes of every row.
template <typename Record, typename Reader>
absl::StatusOr<std::vector<Record>> Rows(SqlStatement& statement, Reader read) {
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
absl::StatusOr<Record> OneRow(SqlStatement& statement, Reader read, absl::string_view noun,
                              absl::string_view id) {
  DISTILL_ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row) {
    return WithResource(
        absl::NotFoundError(absl::StrCat("cannot find ", noun, ": no such ", noun, "; id=", id)),
        noun, id);
  }
  return read(statement);
}

absl::StatusOr<WorkerRecord> ReadWorker(SqlStatement& row) {
  WorkerRecord worker;
  worker.id = WorkerId(row.ReadText());
  worker.draining = row.ReadInt() != 0;
  worker.drain_deadline = row.ReadTime();
  worker.quarantine = static_cast<Quarantine>(row.ReadInt());
  worker.quarantine_reason = row.ReadText();
  return worker;
}

absl::StatusOr<QuotaRecord> ReadQuota(SqlStatement& row) {
  QuotaRecord quota;
  quota.project = ProjectId(row.ReadText());
  quota.weight = row.ReadInt32();
  quota.max_slots = row.ReadInt32();
  quota.max_running_tasks = row.ReadInt32();
  quota.max_blob_bytes = row.ReadInt();
  quota.max_submits_per_hour = row.ReadInt32();
  return quota;
}

constexpr char kSelectAttempts[] =
    "SELECT a.task, a.number, a.lease_id, a.worker, a.acquire_request, a.lease_set, "
    "a.lease_set_size, a.gang, a.gang_rank, a.gang_size, a.state, a.failure_class, a.charged, "
    "a.message, a.start_time, a.finish_time, a.stats, a.observations, a.device_time, a.lost_time "
    "FROM tasks t JOIN attempts a ON a.task=t.id ";

// In plan order, then by number.
absl::StatusOr<std::vector<AttemptRecord>> AttemptsOfJob(SqlConnection& db, const JobId& job) {
  static const std::string sql =
      absl::StrCat(kSelectAttempts, "WHERE t.job=? ORDER BY t.plan_index, a.number");
  SqlStatement rows = db.Prepare(sql.c_str());
  rows.Text(job.str());
  return Rows<AttemptRecord>(rows, ReadAttempt);
}

// Jobs whose tasks are loaded by one statement: the round trips to a database far away add up to
// the time that a new leader needs, and an answer is held in memory twice.
constexpr size_t kJobsLoadedTogether = 64;

// Adds the tasks and attempts of `jobs`, which follow each other in age.
absl::Status LoadTasks(SqlConnection& db, absl::Span<const JobRecord> jobs, StateImage& image) {
  static const std::string tasks_sql = absl::StrCat(
      "SELECT ", kTaskColumns,
      " FROM tasks JOIN (SELECT id AS owner, create_revision AS age FROM jobs) AS aged "
      "ON owner=job WHERE age BETWEEN ? AND ? ORDER BY age, plan_index");
  SqlStatement tasks = db.Prepare(tasks_sql.c_str());
  tasks.Int(jobs.front().create_revision).Int(jobs.back().create_revision);
  DISTILL_ASSIGN_OR_RETURN(std::vector<TaskRecord> rows, Rows<TaskRecord>(tasks, ReadTask));
  const JobRecord* job = jobs.data();
  for (TaskRecord& task : rows) {
    while (job != jobs.end() && job->id != task.job) ++job;
    if (job == jobs.end()) return absl::InternalError("tasks do not come in the order of jobs");
    if (IsTerminal(job->status.state)) task.definition.spec.clear();
    image.tasks.push_back(std::move(task));
  }
  static const std::string attempts_sql =
      absl::StrCat(kSelectAttempts,
                   "JOIN jobs j ON j.id=t.job WHERE j.create_revision BETWEEN ? AND ? "
                   "ORDER BY j.create_revision, t.plan_index, a.number");
  SqlStatement attempts = db.Prepare(attempts_sql.c_str());
  attempts.Int(jobs.front().create_revision).Int(jobs.back().create_revision);
  DISTILL_ASSIGN_OR_RETURN(std::vector<AttemptRecord> of_jobs,
                           Rows<AttemptRecord>(attempts, ReadAttempt));
  for (AttemptRecord& attempt : of_jobs) image.attempts.push_back(std::move(attempt));
  return absl::OkStatus();
}

absl::StatusOr<EventRecord> ReadEventRow(SqlStatement& row) { return ReadEvent(row); }
absl::StatusOr<LedgerRecord> ReadLedgerRow(SqlStatement& row) { return ReadLedger(row); }

}  // namespace

absl::StatusOr<StateImage> SqlStateStore::LoadFrom(SqlConnection& db) {
  StateImage image;
  DISTILL_ASSIGN_OR_RETURN(image.last_revision,
                           db.QueryInt("SELECT value FROM meta WHERE name='last_revision'"));
  static const std::string jobs_sql =
      absl::StrCat("SELECT ", kJobColumns, " FROM jobs ORDER BY create_revision");
  SqlStatement jobs = db.Prepare(jobs_sql.c_str());
  DISTILL_ASSIGN_OR_RETURN(image.jobs, Rows<JobRecord>(jobs, ReadJob));

  const absl::Span<const JobRecord> jobs_in_order(image.jobs);
  for (size_t first = 0; first < jobs_in_order.size(); first += kJobsLoadedTogether) {
    DISTILL_RETURN_IF_ERROR(
        LoadTasks(db, jobs_in_order.subspan(first, kJobsLoadedTogether), image));
  }
  SqlStatement blobs =
      db.Prepare("SELECT digest, size_bytes, type, state, create_time FROM blobs ORDER BY digest");
  DISTILL_ASSIGN_OR_RETURN(image.blobs, Rows<BlobRecord>(blobs, ReadBlob));
  static const std::string results_sql =
      absl::StrCat("SELECT ", kResultColumns, " FROM results ORDER BY project, task_key");
  SqlStatement results = db.Prepare(results_sql.c_str());
  DISTILL_ASSIGN_OR_RETURN(image.results, Rows<ResultRecord>(results, ReadResult));
  static const std::string ledger_sql =
      absl::StrCat("SELECT ", kLedgerColumns, " FROM ledger ORDER BY project, job, kind, entry");
  SqlStatement ledger = db.Prepare(ledger_sql.c_str());
  DISTILL_ASSIGN_OR_RETURN(image.ledger, Rows<LedgerRecord>(ledger, ReadLedgerRow));
  SqlStatement requests =
      db.Prepare("SELECT project, request, body, job FROM requests ORDER BY project, request");
  DISTILL_ASSIGN_OR_RETURN(image.requests, Rows<RequestRecord>(requests, ReadRequest));
  static const std::string workers_sql =
      absl::StrCat("SELECT ", kWorkerColumns, " FROM workers ORDER BY id");
  SqlStatement workers = db.Prepare(workers_sql.c_str());
  DISTILL_ASSIGN_OR_RETURN(image.workers, Rows<WorkerRecord>(workers, ReadWorker));
  static const std::string quotas_sql =
      absl::StrCat("SELECT ", kQuotaColumns, " FROM quotas ORDER BY project");
  SqlStatement quotas = db.Prepare(quotas_sql.c_str());
  DISTILL_ASSIGN_OR_RETURN(image.quotas, Rows<QuotaRecord>(quotas, ReadQuota));
  static const std::string datasets_sql =
      absl::StrCat("SELECT ", kDatasetColumns, " FROM datasets ORDER BY name");
  SqlStatement datasets = db.Prepare(datasets_sql.c_str());
  DISTILL_ASSIGN_OR_RETURN(image.datasets, Rows<DatasetRecord>(datasets, ReadDataset));
  return image;
}

template <typename Query>
auto SqlStateStore::Read(Query query) const -> decltype(query(std::declval<SqlConnection&>())) {
  Reader reader;
  {
    MutexLock lock(mu_);
    if (!readers_.empty()) {
      reader = std::move(readers_.back());
      readers_.pop_back();
    }
  }
  if (reader == nullptr) {
    DISTILL_ASSIGN_OR_RETURN(reader, OpenReader());
  }
  auto result = query(*reader);
  // A connection that failed may be broken for good.
  if (!result.ok() && !absl::IsNotFound(result.status())) return result;
  MutexLock lock(mu_);
  readers_.push_back(std::move(reader));
  return result;
}

absl::StatusOr<JobRecord> SqlStateStore::GetJob(const JobId& job) const {
  static const std::string sql = absl::StrCat("SELECT ", kJobColumns, " FROM jobs WHERE id=?");
  return Read([&](SqlConnection& db) -> absl::StatusOr<JobRecord> {
    SqlStatement row = db.Prepare(sql.c_str());
    row.Text(job.str());
    return OneRow<JobRecord>(row, ReadJob, "job", job.str());
  });
}

absl::StatusOr<std::vector<JobRecord>> SqlStateStore::ListJobs(const JobPageRequest& page) const {
  static const std::string sql =
      absl::StrCat("SELECT ", kJobColumns,
                   " FROM jobs WHERE (?1='' OR project=?1) AND (?2=0 OR create_revision<?2) "
                   "ORDER BY create_revision DESC LIMIT ?3");
  return Read([&](SqlConnection& db) -> absl::StatusOr<std::vector<JobRecord>> {
    SqlStatement rows = db.Prepare(sql.c_str());
    rows.Text(page.project.str()).Int(page.before_create_revision).Int(page.limit);
    return Rows<JobRecord>(rows, ReadJob);
  });
}

absl::StatusOr<JobCounts> SqlStateStore::CountTasks(const JobId& job) const {
  return Read([&](SqlConnection& db) -> absl::StatusOr<JobCounts> {
    SqlStatement row = db.Prepare(
        "SELECT COUNT(*), COUNT(CASE WHEN state=4 THEN 1 END), "
        "COUNT(CASE WHEN state=3 THEN 1 END), "
        "COUNT(CASE WHEN state=4 AND reused_from<>'' THEN 1 END) FROM tasks WHERE job=?");
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

absl::StatusOr<TaskRecord> SqlStateStore::GetTask(const TaskId& task) const {
  static const std::string sql = absl::StrCat("SELECT ", kTaskColumns, " FROM tasks WHERE id=?");
  return Read([&](SqlConnection& db) -> absl::StatusOr<TaskRecord> {
    SqlStatement row = db.Prepare(sql.c_str());
    row.Text(task.str());
    return OneRow<TaskRecord>(row, ReadTask, "task", task.str());
  });
}

absl::StatusOr<std::vector<TaskRecord>> SqlStateStore::ListTasks(const JobId& job,
                                                                 int32_t after_index,
                                                                 int limit) const {
  static const std::string sql =
      absl::StrCat("SELECT ", kTaskColumns,
                   " FROM tasks WHERE job=? AND plan_index>? ORDER BY plan_index LIMIT ?");
  return Read([&](SqlConnection& db) -> absl::StatusOr<std::vector<TaskRecord>> {
    SqlStatement rows = db.Prepare(sql.c_str());
    rows.Text(job.str()).Int(after_index).Int(limit);
    return Rows<TaskRecord>(rows, ReadTask);
  });
}

absl::StatusOr<std::vector<AttemptRecord>> SqlStateStore::ListAttempts(const TaskId& task) const {
  static const std::string sql =
      absl::StrCat("SELECT ", kAttemptColumns, " FROM attempts WHERE task=? ORDER BY number");
  return Read([&](SqlConnection& db) -> absl::StatusOr<std::vector<AttemptRecord>> {
    SqlStatement rows = db.Prepare(sql.c_str());
    rows.Text(task.str());
    return Rows<AttemptRecord>(rows, ReadAttempt);
  });
}

absl::StatusOr<std::vector<AttemptRecord>> SqlStateStore::ListJobAttempts(const JobId& job) const {
  return Read([&](SqlConnection& db) { return AttemptsOfJob(db, job); });
}

absl::StatusOr<std::vector<EventRecord>> SqlStateStore::EventsAfter(const JobId& job,
                                                                    int64_t after_revision,
                                                                    int limit) const {
  static const std::string sql =
      absl::StrCat("SELECT ", kEventColumns,
                   " FROM events WHERE job=? AND revision>? ORDER BY revision LIMIT ?");
  return Read([&](SqlConnection& db) -> absl::StatusOr<std::vector<EventRecord>> {
    SqlStatement rows = db.Prepare(sql.c_str());
    rows.Text(job.str()).Int(after_revision).Int(limit);
    return Rows<EventRecord>(rows, ReadEventRow);
  });
}

absl::StatusOr<BlobRecord> SqlStateStore::GetBlob(const Digest& digest) const {
  return Read([&](SqlConnection& db) -> absl::StatusOr<BlobRecord> {
    SqlStatement row =
        db.Prepare("SELECT digest, size_bytes, type, state, create_time FROM blobs WHERE digest=?");
    row.Text(digest.str());
    return OneRow<BlobRecord>(row, ReadBlob, "blob", digest.str());
  });
}

absl::StatusOr<std::vector<BlobRecord>> SqlStateStore::ListBlobs(
    const ArtifactPageRequest& page) const {
  if (page.job.empty()) {
    return Read([&](SqlConnection& db) -> absl::StatusOr<std::vector<BlobRecord>> {
      SqlStatement rows = db.Prepare(
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

absl::StatusOr<DatasetRecord> SqlStateStore::GetDataset(const DatasetName& name) const {
  static const std::string sql =
      absl::StrCat("SELECT ", kDatasetColumns, " FROM datasets WHERE name=?");
  return Read([&](SqlConnection& db) -> absl::StatusOr<DatasetRecord> {
    SqlStatement row = db.Prepare(sql.c_str());
    row.Text(name.str());
    return OneRow<DatasetRecord>(row, ReadDataset, "data set", name.str());
  });
}

absl::StatusOr<std::vector<DatasetRecord>> SqlStateStore::ListDatasets(const DatasetName& after,
                                                                       int limit) const {
  static const std::string sql =
      absl::StrCat("SELECT ", kDatasetColumns, " FROM datasets WHERE name>? ORDER BY name LIMIT ?");
  return Read([&](SqlConnection& db) -> absl::StatusOr<std::vector<DatasetRecord>> {
    SqlStatement rows = db.Prepare(sql.c_str());
    rows.Text(after.str()).Int(limit);
    return Rows<DatasetRecord>(rows, ReadDataset);
  });
}

absl::StatusOr<std::vector<LineageRecord>> SqlStateStore::Lineage(const Digest& digest) const {
  return Read([&](SqlConnection& db) -> absl::StatusOr<std::vector<LineageRecord>> {
    SqlStatement rows = db.Prepare(
        "SELECT digest, task, attempt, output, inputs FROM lineage WHERE digest=? "
        "ORDER BY task, attempt, output");
    rows.Text(digest.str());
    return Rows<LineageRecord>(rows, ReadLineage);
  });
}

void SqlStateStore::CloseReaders() {
  MutexLock lock(mu_);
  readers_.clear();
}

absl::StatusOr<std::vector<ProjectId>> SqlStateStore::ProjectsOfBlob(const Digest& digest) const {
  return Read([&](SqlConnection& db) -> absl::StatusOr<std::vector<ProjectId>> {
    SqlStatement rows = db.Prepare(
        "SELECT project FROM blob_owners WHERE digest=?1 UNION "
        "SELECT j.project FROM lineage l JOIN tasks t ON t.id=l.task JOIN jobs j ON j.id=t.job "
        "WHERE l.digest=?1 ORDER BY 1");
    rows.Text(digest.str());
    return Rows<ProjectId>(rows, [](SqlStatement& row) -> absl::StatusOr<ProjectId> {
      return ProjectId(row.ReadText());
    });
  });
}

absl::StatusOr<std::vector<TokenRecord>> SqlStateStore::ListTokens() const {
  static const std::string sql = absl::StrCat("SELECT ", kTokenColumns, " FROM tokens ORDER BY id");
  return Read([&](SqlConnection& db) -> absl::StatusOr<std::vector<TokenRecord>> {
    SqlStatement rows = db.Prepare(sql.c_str());
    return Rows<TokenRecord>(rows, ReadToken);
  });
}

}  // namespace distill::storage
