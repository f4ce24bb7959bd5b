#include "storage/state/sql_rows.h"

#include <algorithm>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "storage/state/record_codec.h"

namespace distill::storage {

// Statements are literals whose columns are written out: Prepare() knows them by address.
#define DISTILL_JOB_COLUMNS                                                                       \
  "id, project, display_name, spec, max_user_failures, max_infrastructure_failures, max_bundle, " \
  "create_time, create_revision, state, paused, failure_message, finish_time, revision, "         \
  "artifacts, datasets, priority, traceparent"
#define DISTILL_TASK_STATUS_COLUMNS                                                               \
  "state, attempts, user_failures, infrastructure_failures, resource_failures, poison_failures, " \
  "solo, winner_attempt, results, observations, checkpoint_digest, checkpoint_size, "             \
  "checkpoint_step, previous_checkpoint_digest, previous_checkpoint_size, "                       \
  "previous_checkpoint_step, reused_from, failure_message, start_time, finish_time, revision, "   \
  "device_time"
#define DISTILL_TASK_COLUMNS                                                                    \
  "id, job, plan_index, name, kind, spec, task_key, bundle_group, numeric_class, device_kind, " \
  "memory_bytes, gang_size, labels, min_driver, inputs, outputs, " DISTILL_TASK_STATUS_COLUMNS
#define DISTILL_ATTEMPT_COLUMNS                                                             \
  "task, number, lease_id, worker, acquire_request, lease_set, lease_set_size, gang, "      \
  "gang_rank, gang_size, state, failure_class, charged, message, start_time, finish_time, " \
  "stats, observations, device_time, lost_time"
#define DISTILL_EVENT_COLUMNS                                                                 \
  "revision, job, task, job_state, task_state, attempt, worker, reused_from, message, time, " \
  "total, succeeded, running, reused"

#define DISTILL_DATASET_COLUMNS                                                        \
  "name, project, request, body, source, create_time, state, failure_message, facts, " \
  "verification, blobs, finish_time"
#define DISTILL_TOKEN_COLUMNS                                                                \
  "id, secret, project, role, description, creator, create_time, expire_time, revoke_time, " \
  "last_used_time"

const char kJobColumns[] = DISTILL_JOB_COLUMNS;
const char kTaskColumns[] = DISTILL_TASK_COLUMNS;
const char kAttemptColumns[] = DISTILL_ATTEMPT_COLUMNS;
const char kEventColumns[] = DISTILL_EVENT_COLUMNS;
const char kDatasetColumns[] = DISTILL_DATASET_COLUMNS;
const char kResultColumns[] = "project, task_key, task, outputs, kind, device_time, create_time";
const char kLedgerColumns[] = "project, job, kind, entry, count, device_time";
const char kWorkerColumns[] = "id, draining, drain_deadline, quarantine, quarantine_reason";
const char kQuotaColumns[] =
    "project, weight, max_slots, max_running_tasks, max_blob_bytes, max_submits_per_hour";
const char kTokenColumns[] = DISTILL_TOKEN_COLUMNS;

namespace {

template <typename Enum>
int64_t Number(Enum value) {
  return static_cast<int64_t>(value);
}

SqlStatement& BindJobStatus(SqlStatement& row, const JobStatus& status) {
  // A paused job is a running one with a mark, as the first schema has no number for it.
  const bool paused = status.state == JobState::kPaused;
  return row.Int(Number(paused ? JobState::kRunning : status.state))
      .Int(paused ? 1 : 0)
      .Text(status.failure_message)
      .Time(status.finish_time)
      .Int(status.revision)
      .Text(EncodeBlobs(status.artifacts));
}

SqlStatement& BindCheckpoint(SqlStatement& row, const Checkpoint& checkpoint) {
  return row.Text(checkpoint.digest.str()).Int(checkpoint.size_bytes).Int(checkpoint.step);
}

SqlStatement& BindTaskStatus(SqlStatement& row, const TaskStatus& status) {
  row.Int(Number(status.state))
      .Int(status.attempts)
      .Int(status.user_failures)
      .Int(status.infrastructure_failures)
      .Int(status.resource_failures)
      .Int(status.poison_failures)
      .Int(status.solo ? 1 : 0)
      .Int(status.winner_attempt)
      .Text(EncodeBlobs(status.results))
      .Text(EncodeBlobs(status.observations));
  BindCheckpoint(row, status.checkpoint);
  BindCheckpoint(row, status.previous_checkpoint);
  return row.Text(status.reused_from.str())
      .Text(status.failure_message)
      .Time(status.start_time)
      .Time(status.finish_time)
      .Int(status.revision)
      .Int(absl::ToInt64Microseconds(status.device_time));
}

// "INSERT INTO table (columns) VALUES (?, ...)".
std::string InsertSql(absl::string_view table, absl::string_view columns) {
  std::string placeholders = "?";
  for (const char character : columns) {
    if (character == ',') placeholders += ",?";
  }
  return absl::StrCat("INSERT INTO ", table, " (", columns, ") VALUES (", placeholders, ")");
}

// The same, replacing all other columns of a row that has this key.
std::string PutSql(absl::string_view table, absl::string_view columns, absl::string_view key) {
  const std::vector<absl::string_view> keys = absl::StrSplit(key, ", ");
  std::vector<std::string> assignments;
  for (const absl::string_view column : absl::StrSplit(columns, ", ")) {
    if (std::find(keys.begin(), keys.end(), column) != keys.end()) continue;
    assignments.push_back(absl::StrCat(column, "=excluded.", column));
  }
  return absl::StrCat(InsertSql(table, columns), " ON CONFLICT (", key, ") DO UPDATE SET ",
                      absl::StrJoin(assignments, ", "));
}

std::vector<std::string> NamesOf(const std::vector<DatasetName>& datasets) {
  std::vector<std::string> names;
  for (const DatasetName& dataset : datasets) names.push_back(dataset.str());
  return names;
}

// One overload for each mutation.
struct Applier {
  SqlConnection& connection;

  absl::Status operator()(const InsertJob& mutation) {
    const JobRecord& job = mutation.job;
    static const std::string sql = InsertSql("jobs", kJobColumns);
    SqlStatement row = connection.Prepare(sql.c_str());
    row.Text(job.id.str())
        .Text(job.project.str())
        .Text(job.display_name)
        .Blob(job.spec)
        .Int(job.limits.max_user_failures)
        .Int(job.limits.max_infrastructure_failures)
        .Int(job.limits.max_bundle)
        .Time(job.create_time)
        .Int(job.create_revision);
    return BindJobStatus(row, job.status)
        .Text(EncodeNames(NamesOf(job.datasets)))
        .Int(job.limits.priority)
        .Text(job.traceparent)
        .Run();
  }
  absl::Status operator()(const UpdateJob& mutation) {
    SqlStatement row = connection.Prepare(
        "UPDATE jobs SET state=?, paused=?, failure_message=?, finish_time=?, revision=?, "
        "artifacts=? WHERE id=?");
    return BindJobStatus(row, mutation.status)
        .Text(mutation.id.str())
        .RunOnOneRow(mutation.id.str());
  }
  absl::Status operator()(const DeleteJob& mutation) {
    // Lines of projects belong to no job, so no foreign key takes these along.
    DISTILL_RETURN_IF_ERROR(
        connection.Prepare("DELETE FROM ledger WHERE job=?").Text(mutation.id.str()).Run());
    DISTILL_RETURN_IF_ERROR(
        connection
            .Prepare(
                "INSERT INTO blob_owners (digest, project) SELECT DISTINCT l.digest, j.project "
                "FROM lineage l JOIN tasks t ON t.id=l.task JOIN jobs j ON j.id=t.job "
                "JOIN blobs b ON b.digest=l.digest WHERE j.id=? ON CONFLICT DO NOTHING")
            .Text(mutation.id.str())
            .Run());
    return connection.Prepare("DELETE FROM jobs WHERE id=?").Text(mutation.id.str()).Run();
  }
  absl::Status operator()(const InsertTask& mutation) {
    const TaskRecord& task = mutation.task;
    const TaskDefinition& definition = task.definition;
    static const std::string sql = InsertSql("tasks", kTaskColumns);
    SqlStatement row = connection.Prepare(sql.c_str());
    row.Text(task.id.str())
        .Text(task.job.str())
        .Int(definition.index)
        .Text(definition.name)
        .Text(definition.kind)
        .Blob(definition.spec)
        .Text(definition.key.str())
        .Text(definition.bundle_group)
        .Text(definition.numeric_class)
        .Text(definition.device_kind)
        .Int(definition.memory_bytes)
        .Int(definition.gang_size)
        .Text(EncodeNames(definition.labels))
        .Text(definition.min_driver)
        .Text(EncodeInputs(definition.inputs))
        .Text(EncodeNames(definition.outputs));
    return BindTaskStatus(row, task.status).Run();
  }
  absl::Status operator()(const UpdateTask& mutation) {
    SqlStatement row =
        connection.Prepare("UPDATE tasks SET (" DISTILL_TASK_STATUS_COLUMNS
                           ") = (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) WHERE id=?");
    return BindTaskStatus(row, mutation.status)
        .Text(mutation.id.str())
        .RunOnOneRow(mutation.id.str());
  }
  absl::Status operator()(const PutAttempt& mutation) {
    const AttemptRecord& attempt = mutation.attempt;
    static const std::string sql = PutSql("attempts", kAttemptColumns, "task, number");
    return connection.Prepare(sql.c_str())
        .Text(attempt.task.str())
        .Int(attempt.number)
        .Text(attempt.lease_id.str())
        .Text(attempt.worker.str())
        .Text(attempt.acquire_request.str())
        .Text(attempt.lease_set)
        .Int(attempt.lease_set_size)
        .Text(attempt.gang)
        .Int(attempt.gang_rank)
        .Int(attempt.gang_size)
        .Int(Number(attempt.state))
        .Int(Number(attempt.failure_class))
        .Int(attempt.charged ? 1 : 0)
        .Text(attempt.message)
        .Time(attempt.start_time)
        .Time(attempt.finish_time)
        .Blob(attempt.stats)
        .Text(EncodeBlobs(attempt.observations))
        .Int(absl::ToInt64Microseconds(attempt.device_time))
        .Int(absl::ToInt64Microseconds(attempt.lost_time))
        .Run();
  }
  absl::Status operator()(const PutBlob& mutation) {
    const BlobRecord& blob = mutation.blob;
    static const std::string sql =
        PutSql("blobs", "digest, size_bytes, type, state, create_time", "digest");
    return connection.Prepare(sql.c_str())
        .Text(blob.digest.str())
        .Int(blob.size_bytes)
        .Int(blob.type)
        .Int(Number(blob.state))
        .Time(blob.create_time)
        .Run();
  }
  absl::Status operator()(const DeleteBlob& mutation) {
    DISTILL_RETURN_IF_ERROR(connection.Prepare("DELETE FROM blob_owners WHERE digest=?")
                                .Text(mutation.digest.str())
                                .Run());
    return connection.Prepare("DELETE FROM blobs WHERE digest=?").Text(mutation.digest.str()).Run();
  }
  absl::Status operator()(const PutBlobOwner& mutation) {
    return connection
        .Prepare("INSERT INTO blob_owners (digest, project) VALUES (?,?) ON CONFLICT DO NOTHING")
        .Text(mutation.owner.digest.str())
        .Text(mutation.owner.project.str())
        .Run();
  }
  absl::Status operator()(const PutToken& mutation) {
    const TokenRecord& token = mutation.token;
    static const std::string sql = PutSql("tokens", kTokenColumns, "id");
    return connection.Prepare(sql.c_str())
        .Text(token.id)
        .Text(token.secret.str())
        .Text(token.project.str())
        .Int(token.role)
        .Text(token.description)
        .Text(token.creator)
        .Time(token.create_time)
        .Time(token.expire_time)
        .Time(token.revoke_time)
        .Time(token.last_used_time)
        .Run();
  }
  absl::Status operator()(const TouchToken& mutation) {
    return connection.Prepare("UPDATE tokens SET last_used_time=? WHERE id=?")
        .Time(mutation.last_used_time)
        .Text(mutation.id)
        .Run();
  }
  absl::Status operator()(const DeleteToken& mutation) {
    return connection.Prepare("DELETE FROM tokens WHERE id=?").Text(mutation.id).Run();
  }
  absl::Status operator()(const PutLineage& mutation) {
    const LineageRecord& lineage = mutation.lineage;
    static const std::string sql =
        PutSql("lineage", "digest, task, attempt, output, inputs", "digest, task, attempt, output");
    return connection.Prepare(sql.c_str())
        .Text(lineage.digest.str())
        .Text(lineage.task.str())
        .Int(lineage.attempt)
        .Text(lineage.output)
        .Text(EncodeDigests(lineage.inputs))
        .Run();
  }
  absl::Status operator()(const PutResult& mutation) {
    const ResultRecord& result = mutation.result;
    static const std::string sql = PutSql("results", kResultColumns, "project, task_key");
    return connection.Prepare(sql.c_str())
        .Text(result.project.str())
        .Text(result.key.str())
        .Text(result.task.str())
        .Text(EncodeBlobs(result.outputs))
        .Text(result.kind)
        .Int(absl::ToInt64Microseconds(result.device_time))
        .Time(result.create_time)
        .Run();
  }
  absl::Status operator()(const DeleteResult& mutation) {
    return connection.Prepare("DELETE FROM results WHERE project=? AND task_key=?")
        .Text(mutation.project.str())
        .Text(mutation.key.str())
        .Run();
  }
  absl::Status operator()(const PutLedger& mutation) {
    const LedgerRecord& line = mutation.line;
    static const std::string sql = PutSql("ledger", kLedgerColumns, "project, job, kind, entry");
    return connection.Prepare(sql.c_str())
        .Text(line.project.str())
        .Text(line.job.str())
        .Text(line.kind)
        .Int(Number(line.entry))
        .Int(line.count)
        .Int(absl::ToInt64Microseconds(line.device_time))
        .Run();
  }
  absl::Status operator()(const PutRequest& mutation) {
    const RequestRecord& request = mutation.request;
    static const std::string sql =
        PutSql("requests", "project, request, body, job", "project, request");
    return connection.Prepare(sql.c_str())
        .Text(request.project.str())
        .Text(request.request.str())
        .Text(request.body.str())
        .Text(request.job.str())
        .Run();
  }
  absl::Status operator()(const PutWorker& mutation) {
    static const std::string sql = PutSql("workers", kWorkerColumns, "id");
    const WorkerRecord& worker = mutation.worker;
    return connection.Prepare(sql.c_str())
        .Text(worker.id.str())
        .Int(worker.draining ? 1 : 0)
        .Time(worker.drain_deadline)
        .Int(Number(worker.quarantine))
        .Text(worker.quarantine_reason)
        .Run();
  }
  absl::Status operator()(const PutQuota& mutation) {
    static const std::string sql = PutSql("quotas", kQuotaColumns, "project");
    const QuotaRecord& quota = mutation.quota;
    return connection.Prepare(sql.c_str())
        .Text(quota.project.str())
        .Int(quota.weight)
        .Int(quota.max_slots)
        .Int(quota.max_running_tasks)
        .Int(quota.max_blob_bytes)
        .Int(quota.max_submits_per_hour)
        .Run();
  }
  absl::Status operator()(const DeleteQuota& mutation) {
    return connection.Prepare("DELETE FROM quotas WHERE project=?")
        .Text(mutation.project.str())
        .Run();
  }
  absl::Status operator()(const PutDataset& mutation) {
    const DatasetRecord& dataset = mutation.dataset;
    const DatasetStatus& status = dataset.status;
    static const std::string sql = PutSql("datasets", kDatasetColumns, "name");
    return connection.Prepare(sql.c_str())
        .Text(dataset.name.str())
        .Text(dataset.project.str())
        .Text(dataset.request.str())
        .Text(dataset.body.str())
        .Blob(dataset.source)
        .Time(dataset.create_time)
        .Int(Number(status.state))
        .Text(status.failure_message)
        .Blob(status.facts)
        .Blob(status.verification)
        .Text(EncodeBlobs(status.blobs))
        .Time(status.finish_time)
        .Run();
  }
  absl::Status operator()(const DeleteDataset& mutation) {
    return connection.Prepare("DELETE FROM datasets WHERE name=?").Text(mutation.name.str()).Run();
  }
  absl::Status operator()(const AppendEvent& mutation) {
    const EventRecord& event = mutation.event;
    static const std::string sql = PutSql("events", kEventColumns, "revision");
    DISTILL_RETURN_IF_ERROR(connection.Prepare(sql.c_str())
                                .Int(event.revision)
                                .Text(event.job.str())
                                .Text(event.task)
                                .Int(Number(event.job_state))
                                .Int(Number(event.task_state))
                                .Int(event.attempt)
                                .Text(event.worker.str())
                                .Text(event.reused_from.str())
                                .Text(event.message)
                                .Time(event.time)
                                .Int(event.counts.total)
                                .Int(event.counts.succeeded)
                                .Int(event.counts.running)
                                .Int(event.counts.reused)
                                .Run());
    return connection.Prepare("UPDATE meta SET value=?1 WHERE name='last_revision' AND value<?1")
        .Int(event.revision)
        .Run();
  }
};

absl::StatusOr<Checkpoint> ReadCheckpoint(SqlStatement& row) {
  Checkpoint checkpoint;
  DISTILL_ASSIGN_OR_RETURN(checkpoint.digest, DecodeDigest(row.ReadText()));
  checkpoint.size_bytes = row.ReadInt();
  checkpoint.step = row.ReadInt();
  return checkpoint;
}

absl::StatusOr<TaskStatus> ReadTaskStatus(SqlStatement& row) {
  TaskStatus status;
  status.state = static_cast<TaskState>(row.ReadInt());
  status.attempts = row.ReadInt32();
  status.user_failures = row.ReadInt32();
  status.infrastructure_failures = row.ReadInt32();
  status.resource_failures = row.ReadInt32();
  status.poison_failures = row.ReadInt32();
  status.solo = row.ReadInt() != 0;
  status.winner_attempt = row.ReadInt32();
  DISTILL_ASSIGN_OR_RETURN(status.results, DecodeBlobs(row.ReadText()));
  DISTILL_ASSIGN_OR_RETURN(status.observations, DecodeBlobs(row.ReadText()));
  DISTILL_ASSIGN_OR_RETURN(status.checkpoint, ReadCheckpoint(row));
  DISTILL_ASSIGN_OR_RETURN(status.previous_checkpoint, ReadCheckpoint(row));
  status.reused_from = TaskId(row.ReadText());
  status.failure_message = row.ReadText();
  status.start_time = row.ReadTime();
  status.finish_time = row.ReadTime();
  status.revision = row.ReadInt();
  status.device_time = absl::Microseconds(row.ReadInt());
  return status;
}

}  // namespace

absl::Status ApplyMutation(SqlConnection& connection, const Mutation& mutation) {
  return std::visit(Applier{connection}, mutation);
}

absl::StatusOr<JobRecord> ReadJob(SqlStatement& row) {
  JobRecord job;
  job.id = JobId(row.ReadText());
  job.project = ProjectId(row.ReadText());
  job.display_name = row.ReadText();
  job.spec = row.ReadText();
  job.limits.max_user_failures = row.ReadInt32();
  job.limits.max_infrastructure_failures = row.ReadInt32();
  job.limits.max_bundle = row.ReadInt32();
  job.create_time = row.ReadTime();
  job.create_revision = row.ReadInt();
  job.status.state = static_cast<JobState>(row.ReadInt());
  if (row.ReadInt() != 0) job.status.state = JobState::kPaused;
  job.status.failure_message = row.ReadText();
  job.status.finish_time = row.ReadTime();
  job.status.revision = row.ReadInt();
  DISTILL_ASSIGN_OR_RETURN(job.status.artifacts, DecodeBlobs(row.ReadText()));
  for (const std::string& name : DecodeNames(row.ReadText())) job.datasets.emplace_back(name);
  job.limits.priority = row.ReadInt32();
  job.traceparent = row.ReadText();
  return job;
}

absl::StatusOr<TaskRecord> ReadTask(SqlStatement& row) {
  TaskRecord task;
  task.id = TaskId(row.ReadText());
  task.job = JobId(row.ReadText());
  TaskDefinition& definition = task.definition;
  definition.index = row.ReadInt32();
  definition.name = row.ReadText();
  definition.kind = row.ReadText();
  definition.spec = row.ReadText();
  DISTILL_ASSIGN_OR_RETURN(definition.key, DecodeDigest(row.ReadText()));
  definition.bundle_group = row.ReadText();
  definition.numeric_class = row.ReadText();
  definition.device_kind = row.ReadText();
  definition.memory_bytes = row.ReadInt();
  definition.gang_size = row.ReadInt32();
  definition.labels = DecodeNames(row.ReadText());
  definition.min_driver = row.ReadText();
  DISTILL_ASSIGN_OR_RETURN(definition.inputs, DecodeInputs(row.ReadText()));
  definition.outputs = DecodeNames(row.ReadText());
  DISTILL_ASSIGN_OR_RETURN(task.status, ReadTaskStatus(row));
  return task;
}

absl::StatusOr<AttemptRecord> ReadAttempt(SqlStatement& row) {
  AttemptRecord attempt;
  attempt.task = TaskId(row.ReadText());
  attempt.number = row.ReadInt32();
  attempt.lease_id = LeaseId(row.ReadText());
  attempt.worker = WorkerId(row.ReadText());
  attempt.acquire_request = RequestId(row.ReadText());
  attempt.lease_set = row.ReadText();
  attempt.lease_set_size = row.ReadInt32();
  attempt.gang = row.ReadText();
  attempt.gang_rank = row.ReadInt32();
  attempt.gang_size = row.ReadInt32();
  attempt.state = static_cast<AttemptState>(row.ReadInt());
  attempt.failure_class = static_cast<FailureClass>(row.ReadInt());
  attempt.charged = row.ReadInt() != 0;
  attempt.message = row.ReadText();
  attempt.start_time = row.ReadTime();
  attempt.finish_time = row.ReadTime();
  attempt.stats = row.ReadText();
  DISTILL_ASSIGN_OR_RETURN(attempt.observations, DecodeBlobs(row.ReadText()));
  attempt.device_time = absl::Microseconds(row.ReadInt());
  attempt.lost_time = absl::Microseconds(row.ReadInt());
  return attempt;
}

EventRecord ReadEvent(SqlStatement& row) {
  EventRecord event;
  event.revision = row.ReadInt();
  event.job = JobId(row.ReadText());
  event.task = row.ReadText();
  event.job_state = static_cast<JobState>(row.ReadInt());
  event.task_state = static_cast<TaskState>(row.ReadInt());
  event.attempt = row.ReadInt32();
  event.worker = WorkerId(row.ReadText());
  event.reused_from = TaskId(row.ReadText());
  event.message = row.ReadText();
  event.time = row.ReadTime();
  event.counts.total = row.ReadInt32();
  event.counts.succeeded = row.ReadInt32();
  event.counts.running = row.ReadInt32();
  event.counts.reused = row.ReadInt32();
  return event;
}

absl::StatusOr<BlobRecord> ReadBlob(SqlStatement& row) {
  BlobRecord blob;
  DISTILL_ASSIGN_OR_RETURN(blob.digest, DecodeDigest(row.ReadText()));
  blob.size_bytes = row.ReadInt();
  blob.type = row.ReadInt32();
  blob.state = static_cast<BlobState>(row.ReadInt());
  blob.create_time = row.ReadTime();
  return blob;
}

absl::StatusOr<LineageRecord> ReadLineage(SqlStatement& row) {
  LineageRecord lineage;
  DISTILL_ASSIGN_OR_RETURN(lineage.digest, DecodeDigest(row.ReadText()));
  lineage.task = TaskId(row.ReadText());
  lineage.attempt = row.ReadInt32();
  lineage.output = row.ReadText();
  DISTILL_ASSIGN_OR_RETURN(lineage.inputs, DecodeDigests(row.ReadText()));
  return lineage;
}

absl::StatusOr<ResultRecord> ReadResult(SqlStatement& row) {
  ResultRecord result;
  result.project = ProjectId(row.ReadText());
  DISTILL_ASSIGN_OR_RETURN(result.key, DecodeDigest(row.ReadText()));
  result.task = TaskId(row.ReadText());
  DISTILL_ASSIGN_OR_RETURN(result.outputs, DecodeBlobs(row.ReadText()));
  result.kind = row.ReadText();
  result.device_time = absl::Microseconds(row.ReadInt());
  result.create_time = row.ReadTime();
  return result;
}

LedgerRecord ReadLedger(SqlStatement& row) {
  LedgerRecord line;
  line.project = ProjectId(row.ReadText());
  line.job = JobId(row.ReadText());
  line.kind = row.ReadText();
  line.entry = static_cast<LedgerEntry>(row.ReadInt());
  line.count = row.ReadInt();
  line.device_time = absl::Microseconds(row.ReadInt());
  return line;
}

absl::StatusOr<RequestRecord> ReadRequest(SqlStatement& row) {
  RequestRecord request;
  request.project = ProjectId(row.ReadText());
  request.request = RequestId(row.ReadText());
  DISTILL_ASSIGN_OR_RETURN(request.body, DecodeDigest(row.ReadText()));
  request.job = JobId(row.ReadText());
  return request;
}

absl::StatusOr<DatasetRecord> ReadDataset(SqlStatement& row) {
  DatasetRecord dataset;
  dataset.name = DatasetName(row.ReadText());
  dataset.project = ProjectId(row.ReadText());
  dataset.request = RequestId(row.ReadText());
  DISTILL_ASSIGN_OR_RETURN(dataset.body, DecodeDigest(row.ReadText()));
  dataset.source = row.ReadText();
  dataset.create_time = row.ReadTime();
  dataset.status.state = static_cast<DatasetState>(row.ReadInt());
  dataset.status.failure_message = row.ReadText();
  dataset.status.facts = row.ReadText();
  dataset.status.verification = row.ReadText();
  DISTILL_ASSIGN_OR_RETURN(dataset.status.blobs, DecodeBlobs(row.ReadText()));
  dataset.status.finish_time = row.ReadTime();
  return dataset;
}

absl::StatusOr<TokenRecord> ReadToken(SqlStatement& row) {
  TokenRecord token;
  token.id = row.ReadText();
  DISTILL_ASSIGN_OR_RETURN(token.secret, DecodeDigest(row.ReadText()));
  token.project = ProjectId(row.ReadText());
  token.role = row.ReadInt32();
  token.description = row.ReadText();
  token.creator = row.ReadText();
  token.create_time = row.ReadTime();
  token.expire_time = row.ReadTime();
  token.revoke_time = row.ReadTime();
  token.last_used_time = row.ReadTime();
  return token;
}

}  // namespace distill::storage
