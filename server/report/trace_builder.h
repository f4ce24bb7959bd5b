// Puts a job's trace together: what the server recorded about its tasks and attempts, and below
// each attempt the spans that its worker uploaded. Nothing is kept for it beyond the job's own
// events and artifacts, so it survives restarts and costs nothing until somebody asks.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "base/ids.h"
#include "distill/v1/trace.pb.h"
#include "storage/blob/blob_store.h"
#include "storage/state/state_store.h"

namespace distill::server {

// Id of an attempt's span, below which its worker puts its own.
std::string AttemptSpanId(const LeaseId& lease);

// Blocks for I/O. At most 10,000 spans; more are counted. Spans that cannot be read are left out.
// kNotFound; errors of the state store.
absl::StatusOr<v1::Trace> BuildTrace(const storage::StateStore& store,
                                     const storage::BlobStore& blobs, const JobId& job);

}  // namespace distill::server
