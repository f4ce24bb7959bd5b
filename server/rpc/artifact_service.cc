#include "server/rpc/artifact_service.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "server/rpc/blob_stream.h"
#include "server/rpc/convert.h"
#include "server/rpc/page_token.h"
#include "server/rpc/upload_reactor.h"

namespace distill::server {

ArtifactService::ArtifactService(const RpcDependencies& dependencies)
    : dependencies_(dependencies),
      metrics_(*dependencies.clock, *dependencies.metrics, dependencies.open_calls),
      uploads_(dependencies.limits.max_uploads),
      downloads_(dependencies.limits.max_downloads) {
  CorruptBlobs(*dependencies.metrics);
}

absl::Status ArtifactService::Read(const Digest& digest, v1::Artifact& response) const {
  DISTILL_ASSIGN_OR_RETURN(const storage::BlobRecord blob, dependencies_.store->GetBlob(digest));
  DISTILL_ASSIGN_OR_RETURN(const std::vector<storage::LineageRecord> lineage,
                           dependencies_.store->Lineage(digest));
  response = ToProto(blob, lineage);
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* ArtifactService::GetArtifact(grpc::CallbackServerContext* context,
                                                       const v1::GetArtifactRequest* request,
                                                       v1::Artifact* response) {
  return StartCall(context, "GetArtifact", metrics_, *request, [&](const UnaryCallPtr& call) {
    RunOn(*dependencies_.queries, call,
          [this, request, response] { return Read(*Digest::Parse(request->digest()), *response); });
  });
}

absl::Status ArtifactService::ReadPage(const v1::ListArtifactsRequest& request,
                                       v1::ListArtifactsResponse& response) const {
  const int limit = request.page_size() == 0 ? kMostPageSize : request.page_size();
  const PageScope scope{"artifacts", request.job()};
  DISTILL_ASSIGN_OR_RETURN(const std::string after, ReadPageToken(scope, request.page_token()));
  DISTILL_ASSIGN_OR_RETURN(
      const std::vector<storage::BlobRecord> blobs,
      dependencies_.store->ListBlobs({JobId(request.job()), after, limit + 1}));
  for (const storage::BlobRecord& blob : blobs) {
    if (response.artifacts_size() == limit) {
      response.set_next_page_token(MakePageToken(scope, response.artifacts(limit - 1).digest()));
      break;
    }
    DISTILL_ASSIGN_OR_RETURN(const std::vector<storage::LineageRecord> lineage,
                             dependencies_.store->Lineage(blob.digest));
    *response.add_artifacts() = ToProto(blob, lineage);
  }
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* ArtifactService::ListArtifacts(grpc::CallbackServerContext* context,
                                                         const v1::ListArtifactsRequest* request,
                                                         v1::ListArtifactsResponse* response) {
  return StartCall(context, "ListArtifacts", metrics_, *request, [&](const UnaryCallPtr& call) {
    RunOn(*dependencies_.queries, call,
          [this, request, response] { return ReadPage(*request, *response); });
  });
}

grpc::ServerUnaryReactor* ArtifactService::FindMissing(grpc::CallbackServerContext* context,
                                                       const v1::FindMissingRequest* request,
                                                       v1::FindMissingResponse* response) {
  return StartCall(context, "FindMissing", metrics_, *request, [&](const UnaryCallPtr& call) {
    server::FindMissing event;
    for (const std::string& text : request->digests()) {
      event.digests.push_back(*Digest::Parse(text));
    }
    dependencies_.driver->Post(std::move(event),
                               [call, response](absl::StatusOr<FindMissingReply> reply) {
                                 if (!reply.ok()) return call->Finish(reply.status());
                                 for (const Digest& digest : reply->missing) {
                                   response->add_missing_digests(digest.str());
                                 }
                                 // What is being removed must be sent again; the upload says when
                                 // that is possible.
                                 for (const Digest& digest : reply->busy)
                                   response->add_missing_digests(digest.str());
                                 call->Finish(absl::OkStatus());
                               });
  });
}

grpc::ServerReadReactor<v1::UploadRequest>* ArtifactService::Upload(
    grpc::CallbackServerContext* context, v1::UploadResponse* response) {
  return StartUpload(dependencies_, metrics_, *context, *response, uploads_.Admit());
}

absl::Status ArtifactService::ReadProgress(const v1::QueryUploadRequest& request,
                                           v1::QueryUploadResponse& response) const {
  const absl::StatusOr<storage::BlobRecord> blob =
      dependencies_.store->GetBlob(*Digest::Parse(request.digest()));
  if (blob.ok() && blob->state == storage::BlobState::kPresent) {
    response.set_committed_bytes(blob->size_bytes);
    response.set_complete(true);
    return absl::OkStatus();
  }
  DISTILL_ASSIGN_OR_RETURN(const uint64_t arrived,
                           dependencies_.blobs->UploadedBytes(request.upload_id()));
  response.set_committed_bytes(static_cast<int64_t>(arrived));
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* ArtifactService::QueryUpload(grpc::CallbackServerContext* context,
                                                       const v1::QueryUploadRequest* request,
                                                       v1::QueryUploadResponse* response) {
  return StartCall(context, "QueryUpload", metrics_, *request, [&](const UnaryCallPtr& call) {
    RunOn(*dependencies_.transfers, call,
          [this, request, response] { return ReadProgress(*request, *response); });
  });
}

grpc::ServerWriteReactor<v1::DownloadResponse>* ArtifactService::Download(
    grpc::CallbackServerContext*, const v1::DownloadRequest* request) {
  const absl::Status valid = ValidateRequest(*request);
  const std::string digest = request->digest();
  BlobStreamSource source;
  source.offset = request->offset();
  source.limit = request->limit();
  source.verify = !request->caller_verifies();
  source.find = [valid, digest]() -> absl::StatusOr<Digest> {
    DISTILL_RETURN_IF_ERROR(valid);
    return Digest::Parse(digest);
  };
  return StartBlobStream<v1::DownloadResponse>(dependencies_, metrics_, "Download",
                                               std::move(source), downloads_.Admit());
}

absl::Status ArtifactService::FindPlace(const v1::LocateUploadRequest& request,
                                        v1::LocateUploadResponse& response) const {
  DISTILL_ASSIGN_OR_RETURN(
      const std::optional<storage::BlobLocation> location,
      dependencies_.blobs->LocateUpload(*Digest::Parse(request.digest()),
                                        static_cast<uint64_t>(request.size_bytes())));
  if (location.has_value()) {
    *response.mutable_location() = ToProto(*location);
    return absl::OkStatus();
  }
  DISTILL_ASSIGN_OR_RETURN(const uint64_t arrived,
                           dependencies_.blobs->UploadedBytes(request.upload_id()));
  response.set_committed_bytes(static_cast<int64_t>(arrived));
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* ArtifactService::LocateUpload(grpc::CallbackServerContext* context,
                                                        const v1::LocateUploadRequest* request,
                                                        v1::LocateUploadResponse* response) {
  return StartCall(context, "LocateUpload", metrics_, *request, [&](const UnaryCallPtr& call) {
    // Also the announcement, so that retention does not remove the blob under the sender's hands.
    dependencies_.driver->Post(
        server::FindMissing{{*Digest::Parse(request->digest())}},
        [this, call, request, response](absl::StatusOr<FindMissingReply> reply) {
          if (!reply.ok()) return call->Finish(reply.status());
          if (!reply->busy.empty()) {
            return call->Finish(absl::UnavailableError(
                absl::StrCat("cannot upload artifact: it is just being removed; retry later; "
                             "digest=",
                             request->digest())));
          }
          if (reply->missing.empty()) {
            response->set_already_present(true);
            return call->Finish(absl::OkStatus());
          }
          RunOn(*dependencies_.transfers, call,
                [this, request, response] { return FindPlace(*request, *response); });
        });
  });
}

grpc::ServerUnaryReactor* ArtifactService::FinalizeUpload(grpc::CallbackServerContext* context,
                                                          const v1::FinalizeUploadRequest* request,
                                                          v1::UploadResponse* response) {
  return StartCall(context, "FinalizeUpload", metrics_, *request, [&](const UnaryCallPtr& call) {
    const absl::Status queued = dependencies_.transfers->Submit([this, call, request, response] {
      const Digest digest = *Digest::Parse(request->digest());
      const absl::Status checked = dependencies_.blobs->FinishDirectUpload(
          digest, static_cast<uint64_t>(request->size_bytes()));
      if (!checked.ok()) return call->Finish(checked);
      dependencies_.driver->Post(
          BlobPresent{digest, request->size_bytes(), static_cast<int32_t>(request->type())},
          [call, request, response](absl::StatusOr<Done> reply) {
            if (!reply.ok()) return call->Finish(reply.status());
            response->set_digest(request->digest());
            response->set_size_bytes(request->size_bytes());
            call->Finish(absl::OkStatus());
          });
    });
    if (!queued.ok()) call->Finish(queued);
  });
}

absl::Status ArtifactService::FindSource(const v1::LocateDownloadRequest& request,
                                         v1::LocateDownloadResponse& response) const {
  const Digest digest = *Digest::Parse(request.digest());
  // A URL for what is not there would leave the caller with an answer of another server.
  DISTILL_RETURN_IF_ERROR(dependencies_.store->GetBlob(digest).status());
  DISTILL_ASSIGN_OR_RETURN(const std::optional<storage::BlobLocation> location,
                           dependencies_.blobs->LocateDownload(digest));
  if (location.has_value()) *response.mutable_location() = ToProto(*location);
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* ArtifactService::LocateDownload(grpc::CallbackServerContext* context,
                                                          const v1::LocateDownloadRequest* request,
                                                          v1::LocateDownloadResponse* response) {
  return StartCall(context, "LocateDownload", metrics_, *request, [&](const UnaryCallPtr& call) {
    RunOn(*dependencies_.queries, call,
          [this, request, response] { return FindSource(*request, *response); });
  });
}

}  // namespace distill::server
