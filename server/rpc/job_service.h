// The calls of researchers about jobs.
#pragma once

#include <memory>

#include "distill/v1/job_service.grpc.pb.h"
#include "server/planner/planner.h"
#include "server/rpc/blob_access.h"
#include "server/rpc/call.h"
#include "server/rpc/job_planning.h"
#include "server/rpc/rpc_dependencies.h"

namespace distill::server {

// Thread-safe.
class JobService : public v1::JobService::CallbackService {
 public:
  explicit JobService(const RpcDependencies& dependencies);

  grpc::ServerUnaryReactor* CreateJob(grpc::CallbackServerContext* context,
                                      const v1::CreateJobRequest* request,
                                      v1::Job* response) override;
  grpc::ServerUnaryReactor* PlanJob(grpc::CallbackServerContext* context,
                                    const v1::PlanJobRequest* request,
                                    v1::JobPlan* response) override;
  grpc::ServerUnaryReactor* GetJob(grpc::CallbackServerContext* context,
                                   const v1::GetJobRequest* request, v1::Job* response) override;
  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* context,
                                     const v1::ListJobsRequest* request,
                                     v1::ListJobsResponse* response) override;
  grpc::ServerUnaryReactor* CancelJob(grpc::CallbackServerContext* context,
                                      const v1::CancelJobRequest* request,
                                      v1::Job* response) override;
  grpc::ServerUnaryReactor* PauseJob(grpc::CallbackServerContext* context,
                                     const v1::PauseJobRequest* request,
                                     v1::Job* response) override;
  grpc::ServerUnaryReactor* ResumeJob(grpc::CallbackServerContext* context,
                                      const v1::ResumeJobRequest* request,
                                      v1::Job* response) override;
  grpc::ServerUnaryReactor* RetryJob(grpc::CallbackServerContext* context,
                                     const v1::RetryJobRequest* request,
                                     v1::Job* response) override;
  grpc::ServerUnaryReactor* DeleteJob(grpc::CallbackServerContext* context,
                                      const v1::DeleteJobRequest* request,
                                      v1::DeleteJobResponse* response) override;
  grpc::ServerWriteReactor<v1::JobEvent>* WatchJob(grpc::CallbackServerContext* context,
                                                   const v1::WatchJobRequest* request) override;
  grpc::ServerUnaryReactor* GetReport(grpc::CallbackServerContext* context,
                                      const v1::GetReportRequest* request,
                                      v1::Report* response) override;
  grpc::ServerUnaryReactor* GetTrace(grpc::CallbackServerContext* context,
                                     const v1::GetTraceRequest* request,
                                     v1::Trace* response) override;
  grpc::ServerUnaryReactor* GetJobCost(grpc::CallbackServerContext* context,
                                       const v1::GetJobCostRequest* request,
                                       v1::Ledger* response) override;

 private:
  // The steps of CreateJob, each on the thread that may do it: read the data set and check the spec
  // (I/O thread), ask the core for a numeric class (driver), plan (I/O thread), submit (driver),
  // read back (I/O thread).
  void Prepare(const UnaryCallPtr& call, const v1::CreateJobRequest& request, v1::Job& response);
  // Fills in the data sets that a spec names, if the caller may see them and the artifacts that it
  // gives. Blocks.
  absl::Status Expand(const Caller& caller, v1::JobSpec& named) const;
  // The spec with all that defaults and the data set tell; refused when it cannot be run. Blocks.
  absl::StatusOr<v1::JobSpec> Complete(const v1::JobSpec& resolved) const;
  void ChooseClass(const UnaryCallPtr& call, const v1::CreateJobRequest& request,
                   std::shared_ptr<v1::JobSpec> spec, v1::Job& response);
  void PlanAndSubmit(const UnaryCallPtr& call, const v1::CreateJobRequest& request,
                     const v1::JobSpec& spec, v1::Job& response);
  // Looks at the blobs of results that the job would take, where no thread may block on them, and
  // tells the core which are gone; then submits.
  void SubmitChecked(const UnaryCallPtr& call, SubmitJob submission, v1::Job& response);
  void Submit(const UnaryCallPtr& call, SubmitJob submission, v1::Job& response);
  // Refuses the request for `reason`, unless it repeats one that was accepted: the files of a data
  // set may have gone since, and the job is there all the same.
  void RefuseUnlessRepeated(const UnaryCallPtr& call, const v1::CreateJobRequest& request,
                            const v1::JobSpec& resolved, const absl::Status& reason,
                            v1::Job& response);
  // The request that submits a terminal job again. kFailedPrecondition when it may not be retried.
  absl::StatusOr<v1::CreateJobRequest> AsNewJob(const v1::RetryJobRequest& request) const;
  // Posts an event about a job and finishes the call with the job as it then is.
  template <typename EventType>
  void PostAndShow(const UnaryCallPtr& call, EventType event, v1::Job& response);
  // Finishes the call with the job as it is stored.
  void Show(const UnaryCallPtr& call, const JobId& job, v1::Job& response);
  absl::Status Read(const JobId& job, v1::Job& response) const;
  // The fields of the job that the mask asks for.
  absl::StatusOr<v1::Job> View(const storage::JobRecord& record,
                               const google::protobuf::FieldMask& mask) const;
  // Empty: all. Without a role in all of them, all of a caller with one project is that one.
  static absl::StatusOr<ProjectId> ProjectToList(const Admission& admission,
                                                 const std::string& asked);
  absl::Status ReadPage(const v1::ListJobsRequest& request, const ProjectId& project,
                        v1::ListJobsResponse& response) const;
  // kNotFound for a given artifact that the caller may not read. Blocks.
  absl::Status CheckGiven(const v1::GivenArtifacts& given, const Caller& caller) const;

  const RpcDependencies dependencies_;
  const JobPlanning planning_;
  const CallMetrics metrics_;
  const BlobAccess access_;
  StreamLimit watches_;
};

}  // namespace distill::server
