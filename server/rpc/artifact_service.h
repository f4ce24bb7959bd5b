// The calls about blobs.
#pragma once

#include "distill/v1/artifact_service.grpc.pb.h"
#include "server/rpc/call.h"
#include "server/rpc/rpc_dependencies.h"

namespace distill::server {

// Thread-safe.
class ArtifactService : public v1::ArtifactService::CallbackService {
 public:
  explicit ArtifactService(const RpcDependencies& dependencies);

  grpc::ServerUnaryReactor* GetArtifact(grpc::CallbackServerContext* context,
                                        const v1::GetArtifactRequest* request,
                                        v1::Artifact* response) override;
  grpc::ServerUnaryReactor* ListArtifacts(grpc::CallbackServerContext* context,
                                          const v1::ListArtifactsRequest* request,
                                          v1::ListArtifactsResponse* response) override;
  grpc::ServerUnaryReactor* FindMissing(grpc::CallbackServerContext* context,
                                        const v1::FindMissingRequest* request,
                                        v1::FindMissingResponse* response) override;
  grpc::ServerReadReactor<v1::UploadRequest>* Upload(grpc::CallbackServerContext* context,
                                                     v1::UploadResponse* response) override;
  grpc::ServerUnaryReactor* QueryUpload(grpc::CallbackServerContext* context,
                                        const v1::QueryUploadRequest* request,
                                        v1::QueryUploadResponse* response) override;
  grpc::ServerWriteReactor<v1::DownloadResponse>* Download(
      grpc::CallbackServerContext* context, const v1::DownloadRequest* request) override;
  grpc::ServerUnaryReactor* LocateUpload(grpc::CallbackServerContext* context,
                                         const v1::LocateUploadRequest* request,
                                         v1::LocateUploadResponse* response) override;
  grpc::ServerUnaryReactor* FinalizeUpload(grpc::CallbackServerContext* context,
                                           const v1::FinalizeUploadRequest* request,
                                           v1::UploadResponse* response) override;
  grpc::ServerUnaryReactor* LocateDownload(grpc::CallbackServerContext* context,
                                           const v1::LocateDownloadRequest* request,
                                           v1::LocateDownloadResponse* response) override;

 private:
  absl::Status Read(const Digest& digest, v1::Artifact& response) const;
  absl::Status ReadPage(const v1::ListArtifactsRequest& request,
                        v1::ListArtifactsResponse& response) const;
  absl::Status ReadProgress(const v1::QueryUploadRequest& request,
                            v1::QueryUploadResponse& response) const;
  absl::Status FindPlace(const v1::LocateUploadRequest& request,
                         v1::LocateUploadResponse& response) const;
  absl::Status FindSource(const v1::LocateDownloadRequest& request,
                          v1::LocateDownloadResponse& response) const;

  const RpcDependencies dependencies_;
  const CallMetrics metrics_;
  StreamLimit uploads_;
  StreamLimit downloads_;
};

}  // namespace distill::server
