// Translates between the protocol's messages and the plain values of the scheduler and the state
// store. Total functions of checked requests (validate.h); no decisions.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "distill/v1/artifact_service.pb.h"
#include "distill/v1/fleet_service.pb.h"
#include "distill/v1/job_service.pb.h"
#include "distill/v1/worker_service.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "server/planner/planner.h"
#include "server/scheduler/core.h"
#include "server/scheduler/events.h"
#include "storage/blob/blob_store.h"
#include "storage/state/records.h"

namespace distill::server {

google::protobuf::Timestamp ToProto(absl::Time time);

// Requests of workers. Digests must have been checked.
RegisterWorker FromProto(const v1::RegisterWorkerRequest& request);
AcquireTasks FromProto(const v1::AcquireTasksRequest& request);
Heartbeat FromProto(const v1::HeartbeatRequest& request);
CompleteAttempts FromProto(const v1::CompleteAttemptsRequest& request);
FailAttempts FromProto(const v1::FailAttemptsRequest& request);
ReleaseLeases FromProto(const v1::ReleaseLeasesRequest& request);

LeaseRef FromProto(const v1::LeaseRef& lease);

v1::Directive ToProto(const Directive& directive);
v1::LeaseRef ToProto(const LeaseRef& lease);
v1::Progress ToProto(const Progress& progress);
// kInternal when the stored spec does not parse.
absl::StatusOr<v1::LeaseSet> ToProto(const LeaseSet& lease_set);
v1::ItemStatus ToProto(const LeaseRef& lease, const absl::Status& status);
v1::Worker ToProto(const WorkerView& worker);

v1::Quota ToProto(const QuotaView& view);
storage::QuotaRecord FromProto(const v1::Quota& quota);
v1::TaskExplanation ToProto(const Explanation& explanation, const JobId& job,
                            const std::string& task);

// Every kind of task, as records and metrics name it.
std::vector<std::string> TaskKindNames();

// A plan as the event that submits it. `job` is the id chosen for it.
SubmitJob ToSubmission(const JobPlan& plan, const JobId& job, const RequestId& request_id,
                       const Digest& body);

// "projects/{project}/jobs/{job}" and "projects/{project}/jobs/{job}/tasks/{task}".
std::string JobName(const ProjectId& project, const JobId& job);
std::string TaskName(const ProjectId& project, const TaskId& task);

v1::Job ToProto(const storage::JobRecord& job, const storage::JobCounts& counts);
// The revision that Job.etag stands for; 0 of an empty one. kAborted when it is of no job.
absl::StatusOr<int64_t> RevisionOfEtag(const std::string& etag);
// `view` holds the volatile facts and may be null.
v1::Task ToProto(const storage::TaskRecord& task, const ProjectId& project,
                 const std::vector<storage::AttemptRecord>& attempts, const TaskView* view);
v1::Attempt ToProto(const storage::AttemptRecord& attempt);
v1::ArtifactRef ToProto(const storage::NamedBlob& blob);
v1::HttpLocation ToProto(const storage::BlobLocation& location);
v1::Artifact ToProto(const storage::BlobRecord& blob,
                     const std::vector<storage::LineageRecord>& lineage);

// What a watcher is told. `job` is the job as it was when the watch began; task events carry id,
// state, newest attempt and messages, not the spec. `results` are those of a SUCCEEDED task.
v1::JobEvent ToProto(const storage::EventRecord& event, const v1::Job& job,
                     const std::vector<storage::NamedBlob>& results);
v1::JobEvent ToProto(const ProgressNews& news);

}  // namespace distill::server
