// The calls about registered data sets. Reading one takes longer than a call may: it is ordered
// here, and followed by asking again.
#pragma once

#include <map>
#include <string>

#include "distill/v1/dataset_service.grpc.pb.h"
#include "server/rpc/call.h"
#include "server/rpc/rpc_dependencies.h"

namespace distill::server {

// Thread-safe.
class DatasetService : public v1::DatasetService::CallbackService {
 public:
  explicit DatasetService(const RpcDependencies& dependencies);

  grpc::ServerUnaryReactor* CreateDataset(grpc::CallbackServerContext* context,
                                          const v1::CreateDatasetRequest* request,
                                          v1::Dataset* response) override;
  grpc::ServerUnaryReactor* GetDataset(grpc::CallbackServerContext* context,
                                       const v1::GetDatasetRequest* request,
                                       v1::Dataset* response) override;
  grpc::ServerUnaryReactor* ListDatasets(grpc::CallbackServerContext* context,
                                         const v1::ListDatasetsRequest* request,
                                         v1::ListDatasetsResponse* response) override;
  grpc::ServerUnaryReactor* VerifyDataset(grpc::CallbackServerContext* context,
                                          const v1::VerifyDatasetRequest* request,
                                          v1::Dataset* response) override;
  grpc::ServerUnaryReactor* DeleteDataset(grpc::CallbackServerContext* context,
                                          const v1::DeleteDatasetRequest* request,
                                          v1::DeleteDatasetResponse* response) override;

 private:
  // Finishes the call with the data set as it is stored and what is being done to it.
  void Show(const UnaryCallPtr& call, const std::string& name, v1::Dataset& response);
  // kNotFound unless the caller may see it; kPermissionDenied without `role`. Blocks.
  absl::StatusOr<storage::DatasetRecord> Find(const std::string& name, const Caller& caller,
                                              Role role) const;
  absl::Status Read(const std::string& name, const Caller& caller, v1::Dataset& response) const;
  void Delete(const UnaryCallPtr& call, const v1::DeleteDatasetRequest& request);
  using WorkByName = std::map<DatasetName, DatasetWork>;
  // `work` must be older than `record`.
  static v1::Dataset View(const storage::DatasetRecord& record, const WorkByName& work);
  absl::Status ReadPage(const v1::ListDatasetsRequest& request, const Caller& caller,
                        v1::ListDatasetsResponse& response) const;
  absl::Status StartVerification(const v1::VerifyDatasetRequest& request, const Caller& caller,
                                 v1::Dataset& response) const;

  const RpcDependencies dependencies_;
  const CallMetrics metrics_;
};

}  // namespace distill::server
