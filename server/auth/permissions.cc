#include "server/auth/permissions.h"

#include "absl/container/flat_hash_map.h"

namespace distill::server {
namespace {

constexpr Rule kRules[] = {
    {"JobService", "CreateJob", Permission::kEdit, Scope::kProject, Audit::kAll},
    {"JobService", "GetJob", Permission::kView, Scope::kJob, Audit::kRefusals},
    {"JobService", "ListJobs", Permission::kView, Scope::kHandler, Audit::kRefusals},
    {"JobService", "PlanJob", Permission::kEdit, Scope::kProject, Audit::kRefusals},
    {"JobService", "GetJobCost", Permission::kView, Scope::kJob, Audit::kRefusals},
    {"JobService", "CancelJob", Permission::kEdit, Scope::kJob, Audit::kAll},
    {"JobService", "PauseJob", Permission::kEdit, Scope::kJob, Audit::kAll},
    {"JobService", "ResumeJob", Permission::kEdit, Scope::kJob, Audit::kAll},
    {"JobService", "RetryJob", Permission::kEdit, Scope::kJob, Audit::kAll},
    {"JobService", "DeleteJob", Permission::kEdit, Scope::kJob, Audit::kAll},
    {"JobService", "WatchJob", Permission::kView, Scope::kJob, Audit::kRefusals},
    {"JobService", "GetReport", Permission::kView, Scope::kJob, Audit::kRefusals},
    {"JobService", "GetTrace", Permission::kView, Scope::kJob, Audit::kRefusals},

    {"TaskService", "GetTask", Permission::kView, Scope::kJob, Audit::kRefusals},
    {"TaskService", "ListTasks", Permission::kView, Scope::kJob, Audit::kRefusals},
    {"TaskService", "ExplainTask", Permission::kView, Scope::kJob, Audit::kRefusals},
    {"TaskService", "ReadLog", Permission::kView, Scope::kJob, Audit::kRefusals},
    {"TaskService", "ReadSeries", Permission::kView, Scope::kJob, Audit::kRefusals},

    {"FleetService", "ListWorkers", Permission::kView, Scope::kHandler, Audit::kRefusals},
    {"FleetService", "DrainWorker", Permission::kOperate, Scope::kServer, Audit::kAll},
    {"FleetService", "ResumeWorker", Permission::kOperate, Scope::kServer, Audit::kAll},
    {"FleetService", "QuarantineWorker", Permission::kOperate, Scope::kServer, Audit::kAll},
    {"FleetService", "ListQuotas", Permission::kView, Scope::kHandler, Audit::kRefusals},
    {"FleetService", "ListLedgers", Permission::kView, Scope::kProjectOrAll, Audit::kRefusals},
    {"FleetService", "SetQuota", Permission::kOperate, Scope::kServer, Audit::kAll},
    {"FleetService", "DeleteQuota", Permission::kOperate, Scope::kServer, Audit::kAll},

    {"WorkerService", "RegisterWorker", Permission::kWork, Scope::kWorker, Audit::kAll},
    {"WorkerService", "AcquireTasks", Permission::kWork, Scope::kWorker, Audit::kRefusals},
    {"WorkerService", "Heartbeat", Permission::kWork, Scope::kWorker, Audit::kRefusals},
    {"WorkerService", "CompleteAttempts", Permission::kWork, Scope::kWorker, Audit::kRefusals},
    {"WorkerService", "FailAttempts", Permission::kWork, Scope::kWorker, Audit::kRefusals},
    {"WorkerService", "SendLog", Permission::kWork, Scope::kWorker, Audit::kRefusals},
    {"WorkerService", "ReleaseLeases", Permission::kWork, Scope::kWorker, Audit::kRefusals},

    {"ArtifactService", "GetArtifact", Permission::kView, Scope::kHandler, Audit::kRefusals},
    {"ArtifactService", "ListArtifacts", Permission::kView, Scope::kHandler, Audit::kRefusals},
    {"ArtifactService", "FindMissing", Permission::kEditOrWork, Scope::kHandler, Audit::kRefusals},
    {"ArtifactService", "Upload", Permission::kEditOrWork, Scope::kHandler, Audit::kPeople},
    {"ArtifactService", "QueryUpload", Permission::kEditOrWork, Scope::kHandler, Audit::kRefusals},
    {"ArtifactService", "Download", Permission::kViewOrWork, Scope::kHandler, Audit::kRefusals},
    {"ArtifactService", "LocateUpload", Permission::kEditOrWork, Scope::kHandler, Audit::kRefusals},
    {"ArtifactService", "FinalizeUpload", Permission::kEditOrWork, Scope::kHandler, Audit::kPeople},
    {"ArtifactService", "LocateDownload", Permission::kViewOrWork, Scope::kHandler,
     Audit::kRefusals},

    {"DatasetService", "CreateDataset", Permission::kEdit, Scope::kProject, Audit::kAll},
    {"DatasetService", "GetDataset", Permission::kView, Scope::kHandler, Audit::kRefusals},
    {"DatasetService", "ListDatasets", Permission::kView, Scope::kHandler, Audit::kRefusals},
    {"DatasetService", "VerifyDataset", Permission::kEdit, Scope::kHandler, Audit::kAll},
    {"DatasetService", "DeleteDataset", Permission::kEdit, Scope::kHandler, Audit::kAll},

    {"CacheService", "ExplainKey", Permission::kView, Scope::kKey, Audit::kRefusals},
    {"CacheService", "GetCacheStats", Permission::kView, Scope::kProjectOrAll, Audit::kRefusals},
    {"CacheService", "EvictResult", Permission::kEdit, Scope::kKey, Audit::kAll},

    {"AuthService", "CreateToken", Permission::kAdminister, Scope::kProject, Audit::kAll},
    {"AuthService", "ListTokens", Permission::kAdminister, Scope::kHandler, Audit::kRefusals},
    {"AuthService", "RevokeToken", Permission::kAdminister, Scope::kHandler, Audit::kAll},
    {"AuthService", "WhoAmI", Permission::kKnown, Scope::kServer, Audit::kRefusals},
};

}  // namespace

absl::Span<const Rule> Rules() { return kRules; }

const Rule* FindRule(absl::string_view method) {
  static const auto* const by_method = [] {
    auto* map = new absl::flat_hash_map<absl::string_view, const Rule*>();
    for (const Rule& rule : kRules) map->emplace(rule.method, &rule);
    return map;
  }();
  const auto found = by_method->find(method);
  return found == by_method->end() ? nullptr : found->second;
}

}  // namespace distill::server
