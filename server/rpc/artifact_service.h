// The calls about blobs.
#pragma once

#include <set>
#include <vector>

#include "distill/v1/artifact_service.grpc.pb.h"
#include "server/rpc/blob_access.h"
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
  absl::Status Read(const Caller& caller, const Digest& digest, v1::Artifact& response) const;
  absl::Status CheckListing(const UnaryCall& call, const v1::ListArtifactsRequest& request);
  // Answers with `missing` and whatever else of `digests` the caller may not read.
  absl::Status AddHidden(const Caller& caller, const std::vector<Digest>& digests,
                         std::set<Digest> missing, v1::FindMissingResponse& response) const;
  absl::Status ReadPage(const v1::ListArtifactsRequest& request,
                        v1::ListArtifactsResponse& response) const;
  absl::Status ReadProgress(const Caller& caller, const v1::QueryUploadRequest& request,
                            v1::QueryUploadResponse& response) const;
  // A blob that the caller means to send.
  struct Sending {
    std::vector<ProjectId> owners;
    bool is_hidden = false;  // If it is there, the caller may not know.
  };
  absl::StatusOr<Sending> Authorise(const UnaryCall& call, const UploadPurpose& purpose,
                                    const Digest& digest) const;
  // The steps of LocateUpload and FinalizeUpload, on I/O threads.
  void Announce(const UnaryCallPtr& call, const v1::LocateUploadRequest& request,
                v1::LocateUploadResponse& response);
  absl::Status FindPlace(const Caller& caller, const v1::LocateUploadRequest& request,
                         v1::LocateUploadResponse& response) const;
  void Publish(const UnaryCallPtr& call, const v1::FinalizeUploadRequest& request,
               v1::UploadResponse& response);
  // Writes down whose the blob is, and finishes the call.
  void Own(const UnaryCallPtr& call, const Digest& digest, const std::vector<ProjectId>& owners);
  absl::Status FindSource(const Caller& caller, const v1::LocateDownloadRequest& request,
                          v1::LocateDownloadResponse& response) const;

  const RpcDependencies dependencies_;
  const CallMetrics metrics_;
  const BlobAccess access_;
  StreamLimit uploads_;
  StreamLimit downloads_;
};

}  // namespace distill::server
