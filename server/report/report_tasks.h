// A job's tasks as a report needs them, and how to read what they left behind.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/ids.h"
#include "distill/v1/task.pb.h"
#include "google/protobuf/message.h"
#include "storage/blob/blob_store.h"
#include "storage/state/state_store.h"

namespace distill::server {

struct ReportTask {
  storage::TaskRecord record;
  v1::TaskSpec spec;
  std::vector<storage::AttemptRecord> attempts;
  // Of the task whose results these are, when they were taken from another one.
  std::vector<storage::AttemptRecord> reused_attempts;
};

struct ReportInputs {
  storage::JobRecord job;
  storage::JobCounts counts;
  v1::JobSpec spec;
  std::vector<ReportTask> tasks;  // In plan order.
};

// Errors: kNotFound; kDataLoss when a stored spec does not parse; those of the store.
absl::StatusOr<ReportInputs> LoadReportInputs(const storage::StateStore& store, const JobId& job);

// Reads a result that is proto JSON. Fields of newer versions are ignored. Errors: kDataLoss when
// it does not parse; those of the store.
absl::Status ReadJsonResult(const storage::BlobStore& blobs, const Digest& digest,
                            google::protobuf::Message& result);

}  // namespace distill::server
