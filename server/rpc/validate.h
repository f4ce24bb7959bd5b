// Checks every request before anything looks at it: identifiers, page sizes, bounds of numbers and
// of lists. Messages name the field. What a job spec may say is decided by the planner.
#pragma once

#include "absl/status/status.h"
#include "distill/v1/artifact_service.pb.h"
#include "distill/v1/auth_service.pb.h"
#include "distill/v1/cache_service.pb.h"
#include "distill/v1/dataset_service.pb.h"
#include "distill/v1/fleet_service.pb.h"
#include "distill/v1/job_service.pb.h"
#include "distill/v1/worker_service.pb.h"

namespace distill::server {

inline constexpr int kMostPageSize = 1000;
inline constexpr int64_t kMostBlobBytes = int64_t{1} << 40;
inline constexpr size_t kMostChunkBytes = size_t{1} << 20;

// All return OK or kInvalidArgument.
absl::Status ValidateRequest(const v1::CreateJobRequest& request);
absl::Status ValidateRequest(const v1::PlanJobRequest& request);
absl::Status ValidateRequest(const v1::GetJobRequest& request);
absl::Status ValidateRequest(const v1::ListJobsRequest& request);
absl::Status ValidateRequest(const v1::CancelJobRequest& request);
absl::Status ValidateRequest(const v1::PauseJobRequest& request);
absl::Status ValidateRequest(const v1::ResumeJobRequest& request);
absl::Status ValidateRequest(const v1::RetryJobRequest& request);
absl::Status ValidateRequest(const v1::DeleteJobRequest& request);
absl::Status ValidateRequest(const v1::WatchJobRequest& request);
absl::Status ValidateRequest(const v1::GetReportRequest& request);
absl::Status ValidateRequest(const v1::GetTraceRequest& request);
absl::Status ValidateRequest(const v1::GetJobCostRequest& request);
absl::Status ValidateRequest(const v1::GetTaskRequest& request);
absl::Status ValidateRequest(const v1::ListTasksRequest& request);
absl::Status ValidateRequest(const v1::ExplainTaskRequest& request);
absl::Status ValidateRequest(const v1::ReadLogRequest& request);
absl::Status ValidateRequest(const v1::ReadSeriesRequest& request);
absl::Status ValidateRequest(const v1::ListWorkersRequest& request);
absl::Status ValidateRequest(const v1::DrainWorkerRequest& request);
absl::Status ValidateRequest(const v1::QuarantineWorkerRequest& request);
absl::Status ValidateRequest(const v1::ResumeWorkerRequest& request);
absl::Status ValidateRequest(const v1::ListQuotasRequest& request);
absl::Status ValidateRequest(const v1::SetQuotaRequest& request);
absl::Status ValidateRequest(const v1::DeleteQuotaRequest& request);
absl::Status ValidateRequest(const v1::ListLedgersRequest& request);
absl::Status ValidateRequest(const v1::ExplainKeyRequest& request);
absl::Status ValidateRequest(const v1::GetCacheStatsRequest& request);
absl::Status ValidateRequest(const v1::EvictResultRequest& request);
absl::Status ValidateRequest(const v1::RegisterWorkerRequest& request);
absl::Status ValidateRequest(const v1::AcquireTasksRequest& request);
absl::Status ValidateRequest(const v1::HeartbeatRequest& request);
absl::Status ValidateRequest(const v1::SendLogRequest& request);
absl::Status ValidateRequest(const v1::CompleteAttemptsRequest& request);
absl::Status ValidateRequest(const v1::FailAttemptsRequest& request);
absl::Status ValidateRequest(const v1::ReleaseLeasesRequest& request);
absl::Status ValidateRequest(const v1::GetArtifactRequest& request);
absl::Status ValidateRequest(const v1::ListArtifactsRequest& request);
absl::Status ValidateRequest(const v1::FindMissingRequest& request);
absl::Status ValidateRequest(const v1::QueryUploadRequest& request);
absl::Status ValidateRequest(const v1::DownloadRequest& request);
absl::Status ValidateRequest(const v1::LocateUploadRequest& request);
absl::Status ValidateRequest(const v1::FinalizeUploadRequest& request);
absl::Status ValidateRequest(const v1::LocateDownloadRequest& request);
absl::Status ValidateRequest(const v1::CreateDatasetRequest& request);
absl::Status ValidateRequest(const v1::GetDatasetRequest& request);
absl::Status ValidateRequest(const v1::ListDatasetsRequest& request);
absl::Status ValidateRequest(const v1::VerifyDatasetRequest& request);
absl::Status ValidateRequest(const v1::DeleteDatasetRequest& request);
absl::Status ValidateRequest(const v1::CreateTokenRequest& request);
absl::Status ValidateRequest(const v1::ListTokensRequest& request);
absl::Status ValidateRequest(const v1::RevokeTokenRequest& request);
absl::Status ValidateRequest(const v1::WhoAmIRequest& request);
// The first message of an upload.
absl::Status ValidateRequest(const v1::UploadRequest& request);

}  // namespace distill::server
