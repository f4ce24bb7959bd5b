// What the overview holds: the newest jobs, the fleet, quotas and, on demand, the queue. Each part
// is the answer of a call of the API, so a page sees just what its caller may.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "distill/v1/fleet_service.grpc.pb.h"
#include "distill/v1/job_service.grpc.pb.h"

namespace distill::server {

// Thread-safe.
class OverviewReader {
 public:
  struct Facts {
    v1::ListJobsResponse jobs;  // Of all projects that the caller may see; without specs.
    v1::ListWorkersResponse workers;
    v1::ListQuotasResponse quotas;
  };

  // Stubs must outlive the reader.
  OverviewReader(v1::JobService::Stub& jobs, v1::TaskService::Stub& tasks,
                 v1::FleetService::Stub& fleet)
      : jobs_(&jobs), tasks_(&tasks), fleet_(&fleet) {}

  // Errors: those of the calls.
  absl::StatusOr<Facts> ReadFacts(const std::string& authorization) const;

  // {"jobs":ListJobsResponse,"workers":ListWorkersResponse,"quotas":ListQuotasResponse,
  //  "queue":[ListTasksResponse and "job", ...]}
  // What changes all the time though nothing happens is left out, so that equal text means that
  // there is no news: when live workers were last seen; shares of quotas are rounded. The queue has
  // the tasks that wait of the newest jobs that run, at most 20 jobs.
  absl::StatusOr<std::string> Read(const std::string& authorization, bool with_queue) const;

 private:
  absl::StatusOr<std::string> ReadQueue(const std::string& authorization,
                                        const v1::ListJobsResponse& jobs) const;

  v1::JobService::Stub* const jobs_;
  v1::TaskService::Stub* const tasks_;
  v1::FleetService::Stub* const fleet_;
};

}  // namespace distill::server
