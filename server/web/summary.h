// What a browser without scripts sees: jobs and workers as two tables.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "distill/v1/fleet_service.pb.h"
#include "distill/v1/job_service.pb.h"

namespace distill::server {

// A fragment of HTML; text of people is escaped.
std::string SummaryOf(const v1::ListJobsResponse& jobs, const v1::ListWorkersResponse& workers);

// In its place, for who may not see it.
std::string SummaryOfError(const absl::Status& status);

}  // namespace distill::server
