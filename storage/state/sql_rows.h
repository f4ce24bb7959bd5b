// How each record becomes a row of the schema, and back.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/state/records.h"
#include "storage/state/sql_connection.h"

namespace distill::storage {

// Applies one mutation inside the caller's transaction.
absl::Status ApplyMutation(SqlConnection& connection, const Mutation& mutation);

// Columns in the order in which the readers below expect them, for "SELECT <columns> FROM ...".
extern const char kJobColumns[];
extern const char kTaskColumns[];
extern const char kAttemptColumns[];
extern const char kEventColumns[];
extern const char kDatasetColumns[];
extern const char kWorkerColumns[];
extern const char kQuotaColumns[];
extern const char kResultColumns[];
extern const char kLedgerColumns[];
extern const char kTokenColumns[];

// Read the current row.
absl::StatusOr<JobRecord> ReadJob(SqlStatement& row);
absl::StatusOr<TaskRecord> ReadTask(SqlStatement& row);
absl::StatusOr<AttemptRecord> ReadAttempt(SqlStatement& row);
EventRecord ReadEvent(SqlStatement& row);
// digest, size_bytes, type, state, create_time
absl::StatusOr<BlobRecord> ReadBlob(SqlStatement& row);
// digest, task, attempt, output, inputs
absl::StatusOr<LineageRecord> ReadLineage(SqlStatement& row);
absl::StatusOr<ResultRecord> ReadResult(SqlStatement& row);
LedgerRecord ReadLedger(SqlStatement& row);
// project, request, body, job
absl::StatusOr<RequestRecord> ReadRequest(SqlStatement& row);
absl::StatusOr<DatasetRecord> ReadDataset(SqlStatement& row);
absl::StatusOr<TokenRecord> ReadToken(SqlStatement& row);

}  // namespace distill::storage
