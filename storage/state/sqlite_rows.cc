#include "storage/state/sqlite_rows.h"

#include <variant>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "storage/state/record_codec.h"

namespace distill::storage {

// Statements are literals whose columns are written out: Prepare() knows them by address.
#define DISTILL_JOB_COLUMNS                                                                       \
  "id, project, display_name, spec, max_user_failures, max_infrastructure_failures, max_bundle, " \
  "create_time, create_revision, state, failure_message, finish_time, revision, artifacts, "      \
  "datasets"
#define DISTILL_TASK_STATUS_COLUMNS                                                               \
  "state, attempts, user_failures, infrastructure_failures, resource_failures, poison_failures, " \
  "solo, winner_attempt, results, observations, checkpoint_digest, checkpoint_size, "             \
  "checkpoint_step, previous_checkpoint_digest, previous_checkpoint_size, "                       \
  "previous_checkpoint_step, reused_from, failure_message, start_time, finish_time, revision"
#define DISTILL_TASK_COLUMNS                                                                    \
  "id, job, plan_index, name, kind, spec, task_key, bundle_group, numeric_class, device_kind, " \
  "memory_bytes, inputs, outputs, " DISTILL_TASK_STATUS_COLUMNS
#define DISTILL_ATTEMPT_COLUMNS                                                         \
  "task, number, lease_id, worker, acquire_request, lease_set, lease_set_size, state, " \
  "failure_class, charged, message, start_time, finish_time, stats, observations"
#define DISTILL_EVENT_COLUMNS                                                                 \
  "revision, job, task, job_state, task_state, attempt, worker, reused_from, message, time, " \
  "total, succeeded, running, reused"

#define DISTILL_DATASET_COLUMNS                                                             \
  "name, request, body, source, create_time, state, failure_message, facts, verification, " \
  "blobs, finish_time"

const char kJobColumns[] = DISTILL_JOB_COLUMNS;
const char kTaskColumns[] = DISTILL_TASK_COLUMNS;
const char kAttemptColumns[] = DISTILL_ATTEMPT_COLUMNS;
const char kEventColumns[] = DISTILL_EVENT_COLUMNS;
const char kDatasetColumns[] = DISTILL_DATASET_COLUMNS;

namespace {

template <typename Enum>
int64_t Number(Enum value) {
  return static_cast<int64_t>(value);
}

SqliteStatement& BindJobStatus(SqliteStatement& row, const JobStatus& status) {
  return row.Int(Number(status.state))
      .Text(status.failure_message)
      .Time(status.finish_time)
      .Int(status.revision)
      .Text(EncodeBlobs(status.artifacts));
}

SqliteStatement& BindCheckpoint(SqliteStatement& row, const Checkpoint& checkpoint) {
  return row.Text(checkpoint.digest.str()).Int(checkpoint.size_bytes).Int(checkpoint.step);
}

SqliteStatement& BindTaskStatus(SqliteStatement& row, const TaskStatus& status) {
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
      .Int(status.revision);
}

// A row that should have been there was not: the memory and the disk of the server disagree.
absl::Status Changed(SqliteConnection& connection, absl::string_view id) {
  DISTILL_ASSIGN_OR_RETURN(const int64_t changes, connection.QueryInt("SELECT changes()"));
  if (changes == 1) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("cannot commit: unknown row; id=", id));
}

// One overload for each mutation.
std::vector<std::string> NamesOf(const std::vector<DatasetName>& datasets) {
  std::vector<std::string> names;
  for (const DatasetName& dataset : datasets) names.push_back(dataset.str());
  return names;
}

struct Applier {
  SqliteConnection& connection;

  absl::Status operator()(const InsertJob& mutation) {
    const JobRecord& job = mutation.job;
    SqliteStatement row = connection.Prepare("INSERT INTO jobs (" DISTILL_JOB_COLUMNS
                                             ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    row.Text(job.id.str())
        .Text(job.project.str())
        .Text(job.display_name)
        .Blob(job.spec)
        .Int(job.limits.max_user_failures)
        .Int(job.limits.max_infrastructure_failures)
        .Int(job.limits.max_bundle)
        .Time(job.create_time)
        .Int(job.create_revision);
    return BindJobStatus(row, job.status).Text(EncodeNames(NamesOf(job.datasets))).Run();
  }
  absl::Status operator()(const UpdateJob& mutation) {
    {
      SqliteStatement row = connection.Prepare(
          "UPDATE jobs SET state=?, failure_message=?, finish_time=?, revision=?, artifacts=? "
          "WHERE id=?");
      DISTILL_RETURN_IF_ERROR(BindJobStatus(row, mutation.status).Text(mutation.id.str()).Run());
    }
    return Changed(connection, mutation.id.str());
  }
  absl::Status operator()(const DeleteJob& mutation) {
    return connection.Prepare("DELETE FROM jobs WHERE id=?").Text(mutation.id.str()).Run();
  }
  absl::Status operator()(const InsertTask& mutation) {
    const TaskRecord& task = mutation.task;
    const TaskDefinition& definition = task.definition;
    SqliteStatement row =
        connection.Prepare("INSERT INTO tasks (" DISTILL_TASK_COLUMNS
                           ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,"
                           "?,?,?,?)");
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
        .Text(EncodeInputs(definition.inputs))
        .Text(EncodeNames(definition.outputs));
    return BindTaskStatus(row, task.status).Run();
  }
  absl::Status operator()(const UpdateTask& mutation) {
    {
      SqliteStatement row =
          connection.Prepare("UPDATE tasks SET (" DISTILL_TASK_STATUS_COLUMNS
                             ") = (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) WHERE id=?");
      DISTILL_RETURN_IF_ERROR(BindTaskStatus(row, mutation.status).Text(mutation.id.str()).Run());
    }
    return Changed(connection, mutation.id.str());
  }
  absl::Status operator()(const PutAttempt& mutation) {
    const AttemptRecord& attempt = mutation.attempt;
    return connection
        .Prepare("INSERT OR REPLACE INTO attempts (" DISTILL_ATTEMPT_COLUMNS
                 ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")
        .Text(attempt.task.str())
        .Int(attempt.number)
        .Text(attempt.lease_id.str())
        .Text(attempt.worker.str())
        .Text(attempt.acquire_request.str())
        .Text(attempt.lease_set)
        .Int(attempt.lease_set_size)
        .Int(Number(attempt.state))
        .Int(Number(attempt.failure_class))
        .Int(attempt.charged ? 1 : 0)
        .Text(attempt.message)
        .Time(attempt.start_time)
        .Time(attempt.finish_time)
        .Blob(attempt.stats)
        .Text(EncodeBlobs(attempt.observations))
        .Run();
  }
  absl::Status operator()(const PutBlob& mutation) {
    const BlobRecord& blob = mutation.blob;
    return connection
        .Prepare(
            "INSERT OR REPLACE INTO blobs (digest, size_bytes, type, state, create_time) "
            "VALUES (?,?,?,?,?)")
        .Text(blob.digest.str())
        .Int(blob.size_bytes)
        .Int(blob.type)
        .Int(Number(blob.state))
        .Time(blob.create_time)
        .Run();
  }
  absl::Status operator()(const DeleteBlob& mutation) {
    return connection.Prepare("DELETE FROM blobs WHERE digest=?").Text(mutation.digest.str()).Run();
  }
  absl::Status operator()(const PutLineage& mutation) {
    const LineageRecord& lineage = mutation.lineage;
    return connection
        .Prepare(
            "INSERT OR REPLACE INTO lineage (digest, task, attempt, output, inputs) "
            "VALUES (?,?,?,?,?)")
        .Text(lineage.digest.str())
        .Text(lineage.task.str())
        .Int(lineage.attempt)
        .Text(lineage.output)
        .Text(EncodeDigests(lineage.inputs))
        .Run();
  }
  absl::Status operator()(const PutResult& mutation) {
    const ResultRecord& result = mutation.result;
    return connection
        .Prepare(
            "INSERT OR REPLACE INTO results (project, task_key, task, outputs) "
            "VALUES (?,?,?,?)")
        .Text(result.project.str())
        .Text(result.key.str())
        .Text(result.task.str())
        .Text(EncodeBlobs(result.outputs))
        .Run();
  }
  absl::Status operator()(const DeleteResult& mutation) {
    return connection.Prepare("DELETE FROM results WHERE project=? AND task_key=?")
        .Text(mutation.project.str())
        .Text(mutation.key.str())
        .Run();
  }
  absl::Status operator()(const PutRequest& mutation) {
    const RequestRecord& request = mutation.request;
    return connection
        .Prepare("INSERT OR REPLACE INTO requests (project, request, body, job) VALUES (?,?,?,?)")
        .Text(request.project.str())
        .Text(request.request.str())
        .Text(request.body.str())
        .Text(request.job.str())
        .Run();
  }
  absl::Status operator()(const PutWorker& mutation) {
    return connection.Prepare("INSERT OR REPLACE INTO workers (id, draining) VALUES (?,?)")
        .Text(mutation.worker.id.str())
        .Int(mutation.worker.draining ? 1 : 0)
        .Run();
  }
  absl::Status operator()(const PutDataset& mutation) {
    const DatasetRecord& dataset = mutation.dataset;
    const DatasetStatus& status = dataset.status;
    return connection
        .Prepare("INSERT OR REPLACE INTO datasets (" DISTILL_DATASET_COLUMNS
                 ") VALUES (?,?,?,?,?,?,?,?,?,?,?)")
        .Text(dataset.name.str())
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
    DISTILL_RETURN_IF_ERROR(connection
                                .Prepare("INSERT OR REPLACE INTO events (" DISTILL_EVENT_COLUMNS
                                         ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)")
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
    return connection.Prepare("UPDATE meta SET value=MAX(value, ?) WHERE name='last_revision'")
        .Int(event.revision)
        .Run();
  }
};

absl::StatusOr<Checkpoint> ReadCheckpoint(SqliteStatement& row) {
  Checkpoint checkpoint;
  DISTILL_ASSIGN_OR_RETURN(checkpoint.digest, DecodeDigest(row.ReadText()));
  checkpoint.size_bytes = row.ReadInt();
  checkpoint.step = row.ReadInt();
  return checkpoint;
}

absl::StatusOr<TaskStatus> ReadTaskStatus(SqliteStatement& row) {
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
  return status;
}

}  // namespace

absl::Status ApplyMutation(SqliteConnection& connection, const Mutation& mutation) {
  return std::visit(Applier{connection}, mutation);
}

absl::StatusOr<JobRecord> ReadJob(SqliteStatement& row) {
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
  job.status.failure_message = row.ReadText();
  job.status.finish_time = row.ReadTime();
  job.status.revision = row.ReadInt();
  DISTILL_ASSIGN_OR_RETURN(job.status.artifacts, DecodeBlobs(row.ReadText()));
  for (const std::string& name : DecodeNames(row.ReadText())) job.datasets.emplace_back(name);
  return job;
}

absl::StatusOr<TaskRecord> ReadTask(SqliteStatement& row) {
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
  DISTILL_ASSIGN_OR_RETURN(definition.inputs, DecodeInputs(row.ReadText()));
  definition.outputs = DecodeNames(row.ReadText());
  DISTILL_ASSIGN_OR_RETURN(task.status, ReadTaskStatus(row));
  return task;
}

absl::StatusOr<AttemptRecord> ReadAttempt(SqliteStatement& row) {
  AttemptRecord attempt;
  attempt.task = TaskId(row.ReadText());
  attempt.number = row.ReadInt32();
  attempt.lease_id = LeaseId(row.ReadText());
  attempt.worker = WorkerId(row.ReadText());
  attempt.acquire_request = RequestId(row.ReadText());
  attempt.lease_set = row.ReadText();
  attempt.lease_set_size = row.ReadInt32();
  attempt.state = static_cast<AttemptState>(row.ReadInt());
  attempt.failure_class = static_cast<FailureClass>(row.ReadInt());
  attempt.charged = row.ReadInt() != 0;
  attempt.message = row.ReadText();
  attempt.start_time = row.ReadTime();
  attempt.finish_time = row.ReadTime();
  attempt.stats = row.ReadText();
  DISTILL_ASSIGN_OR_RETURN(attempt.observations, DecodeBlobs(row.ReadText()));
  return attempt;
}

EventRecord ReadEvent(SqliteStatement& row) {
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

absl::StatusOr<BlobRecord> ReadBlob(SqliteStatement& row) {
  BlobRecord blob;
  DISTILL_ASSIGN_OR_RETURN(blob.digest, DecodeDigest(row.ReadText()));
  blob.size_bytes = row.ReadInt();
  blob.type = row.ReadInt32();
  blob.state = static_cast<BlobState>(row.ReadInt());
  blob.create_time = row.ReadTime();
  return blob;
}

absl::StatusOr<LineageRecord> ReadLineage(SqliteStatement& row) {
  LineageRecord lineage;
  DISTILL_ASSIGN_OR_RETURN(lineage.digest, DecodeDigest(row.ReadText()));
  lineage.task = TaskId(row.ReadText());
  lineage.attempt = row.ReadInt32();
  lineage.output = row.ReadText();
  DISTILL_ASSIGN_OR_RETURN(lineage.inputs, DecodeDigests(row.ReadText()));
  return lineage;
}

absl::StatusOr<ResultRecord> ReadResult(SqliteStatement& row) {
  ResultRecord result;
  result.project = ProjectId(row.ReadText());
  DISTILL_ASSIGN_OR_RETURN(result.key, DecodeDigest(row.ReadText()));
  result.task = TaskId(row.ReadText());
  DISTILL_ASSIGN_OR_RETURN(result.outputs, DecodeBlobs(row.ReadText()));
  return result;
}

absl::StatusOr<RequestRecord> ReadRequest(SqliteStatement& row) {
  RequestRecord request;
  request.project = ProjectId(row.ReadText());
  request.request = RequestId(row.ReadText());
  DISTILL_ASSIGN_OR_RETURN(request.body, DecodeDigest(row.ReadText()));
  request.job = JobId(row.ReadText());
  return request;
}

absl::StatusOr<DatasetRecord> ReadDataset(SqliteStatement& row) {
  DatasetRecord dataset;
  dataset.name = DatasetName(row.ReadText());
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

}  // namespace distill::storage
