#include "server/web/overview_reader.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "server/web/json.h"
#include "server/web/web_call.h"

namespace distill::server {
namespace {

constexpr int kJobsShown = 100;
constexpr int kJobsInQueue = 20;
// Share of a slot; finer differences tell nobody anything.
constexpr double kSharesPerSlot = 10;

bool MayHaveQueue(const v1::Job& job) {
  return job.state() == v1::JOB_STATE_RUNNING &&
         job.tasks_succeeded() + job.tasks_running() < job.tasks_total();
}

}  // namespace

absl::StatusOr<OverviewReader::Facts> OverviewReader::ReadFacts(
    const std::string& authorization) const {
  Facts facts;
  v1::ListJobsRequest jobs;
  jobs.set_project("-");
  jobs.set_page_size(kJobsShown);
  for (const char* field :
       {"name", "id", "state", "failure_message", "create_time", "finish_time", "revision",
        "tasks_total", "tasks_succeeded", "tasks_running", "tasks_reused", "spec.display_name",
        "spec.project", "spec.execution.priority"}) {
    jobs.mutable_read_mask()->add_paths(field);
  }
  DISTILL_ASSIGN_OR_RETURN(facts.jobs,
                           CallApi(*jobs_, &v1::JobService::Stub::ListJobs, authorization, jobs));
  DISTILL_ASSIGN_OR_RETURN(facts.workers, CallApi(*fleet_, &v1::FleetService::Stub::ListWorkers,
                                                  authorization, v1::ListWorkersRequest()));
  DISTILL_ASSIGN_OR_RETURN(facts.quotas, CallApi(*fleet_, &v1::FleetService::Stub::ListQuotas,
                                                 authorization, v1::ListQuotasRequest()));
  for (v1::Worker& worker : *facts.workers.mutable_workers()) {
    if (worker.state() != v1::WORKER_STATE_LOST) worker.clear_last_seen_time();
  }
  for (v1::Quota& quota : *facts.quotas.mutable_quotas()) {
    quota.set_share(std::round(quota.share() * kSharesPerSlot) / kSharesPerSlot);
  }
  return facts;
}

absl::StatusOr<std::string> OverviewReader::ReadQueue(const std::string& authorization,
                                                      const v1::ListJobsResponse& jobs) const {
  std::string json = "[";
  int jobs_read = 0;
  for (const v1::Job& job : jobs.jobs()) {
    if (!MayHaveQueue(job)) continue;
    if (++jobs_read > kJobsInQueue) break;
    v1::ListTasksRequest request;
    request.set_job(job.id());
    for (const char* field : {"id", "state", "waiting_reason", "spec.kind", "spec.module_index"}) {
      request.mutable_read_mask()->add_paths(field);
    }
    absl::StatusOr<v1::ListTasksResponse> tasks =
        CallApi(*tasks_, &v1::TaskService::Stub::ListTasks, authorization, request);
    if (absl::IsNotFound(tasks.status())) continue;  // Deleted meanwhile.
    DISTILL_RETURN_IF_ERROR(tasks.status());
    v1::ListTasksResponse waiting;
    for (v1::Task& task : *tasks->mutable_tasks()) {
      if (task.state() == v1::TASK_STATE_QUEUED) *waiting.add_tasks() = std::move(task);
    }
    if (waiting.tasks().empty()) continue;
    absl::StrAppend(&json, json.size() > 1 ? "," : "", "{\"job\":\"", job.id(), "\",",
                    ToJson(waiting).substr(1));
  }
  return json + "]";
}

absl::StatusOr<std::string> OverviewReader::Read(const std::string& authorization,
                                                 bool with_queue) const {
  DISTILL_ASSIGN_OR_RETURN(const Facts facts, ReadFacts(authorization));
  std::string json =
      absl::StrCat("{\"jobs\":", ToJson(facts.jobs), ",\"workers\":", ToJson(facts.workers),
                   ",\"quotas\":", ToJson(facts.quotas));
  if (with_queue) {
    DISTILL_ASSIGN_OR_RETURN(const std::string queue, ReadQueue(authorization, facts.jobs));
    absl::StrAppend(&json, ",\"queue\":", queue);
  }
  return json + "}";
}

}  // namespace distill::server
