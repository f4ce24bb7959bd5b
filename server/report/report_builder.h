// Puts together what a job achieved, what it cost, and where each number came from.
#pragma once

#include "absl/status/statusor.h"
#include "base/ids.h"
#include "distill/v1/report.pb.h"
#include "storage/blob/blob_store.h"
#include "storage/state/state_store.h"

namespace distill::server {

// Returns the report of a job as it stands, Markdown included; numbers that are not there yet are
// left out and said to be. Blocks for I/O. kNotFound; errors of the stores. Metrics that cannot be
// read become warnings.
absl::StatusOr<v1::Report> BuildReport(const storage::StateStore& store,
                                       const storage::BlobStore& blobs, const JobId& job);

// Returns the report as JSON, without its Markdown and its own digests.
absl::StatusOr<std::string> ReportJson(const v1::Report& report);

}  // namespace distill::server
