#include "server/rpc/artifact_service.h"

#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "server/rpc/blob_stream.h"
#include "server/rpc/convert.h"
#include "server/rpc/page_token.h"
#include "server/rpc/upload_reactor.h"

namespace distill::server {
namespace {

void AddMissing(const std::set<Digest>& missing, v1::FindMissingResponse& response) {
  for (const Digest& digest : missing) response.add_missing_digests(digest.str());
}

}  // namespace

ArtifactService::ArtifactService(const RpcDependencies& dependencies)
    : dependencies_(dependencies),
      metrics_(*dependencies.clock, *dependencies.metrics, *dependencies.gate,
               dependencies.open_calls),
      access_(*dependencies.driver, *dependencies.store),
      uploads_(dependencies.limits.max_uploads),
      downloads_(dependencies.limits.max_downloads) {
  CorruptBlobs(*dependencies.metrics);
}

absl::Status ArtifactService::Read(const Caller& caller, const Digest& digest,
                                   v1::Artifact& response) const {
  DISTILL_RETURN_IF_ERROR(access_.CheckReadable(caller, digest));
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
    RunOn(*dependencies_.queries, call, [this, caller = call->caller(), request, response] {
      return Read(caller, *Digest::Parse(request->digest()), *response);
    });
  });
}

// Of one job for those who may look at it; of all for those who may look at everything.
absl::Status ArtifactService::CheckListing(const UnaryCall& call,
                                           const v1::ListArtifactsRequest& request) {
  if (!request.job().empty()) {
    return metrics_.gate().CheckJob(call.admission(), JobId(request.job()));
  }
  if (call.caller().Everywhere(Role::kViewer)) return absl::OkStatus();
  return absl::PermissionDeniedError(
      "cannot list artifacts: of all jobs takes the role viewer in all projects; name a job");
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
    const absl::Status scope = CheckListing(*call, *request);
    if (!scope.ok()) return call->Finish(scope);
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
    const std::vector<Digest> digests = event.digests;
    dependencies_.driver->Post(
        std::move(event), [this, call, digests, response](absl::StatusOr<FindMissingReply> reply) {
          if (!reply.ok()) return call->Finish(reply.status());
          std::set<Digest> missing(reply->missing.begin(), reply->missing.end());
          // What is being removed must be sent again; the upload says when that is possible.
          missing.insert(reply->busy.begin(), reply->busy.end());
          if (call->caller().Everywhere(Role::kViewer)) {
            AddMissing(missing, *response);
            return call->Finish(absl::OkStatus());
          }
          RunOn(*dependencies_.queries, call, [this, call, digests, missing, response] {
            return AddHidden(call->caller(), digests, missing, *response);
          });
        });
  });
}

absl::Status ArtifactService::AddHidden(const Caller& caller, const std::vector<Digest>& digests,
                                        std::set<Digest> missing,
                                        v1::FindMissingResponse& response) const {
  DISTILL_ASSIGN_OR_RETURN(const std::vector<Digest> hidden, access_.Hidden(caller, digests));
  missing.insert(hidden.begin(), hidden.end());
  AddMissing(missing, response);
  return absl::OkStatus();
}

grpc::ServerReadReactor<v1::UploadRequest>* ArtifactService::Upload(
    grpc::CallbackServerContext* context, v1::UploadResponse* response) {
  return StartUpload(dependencies_, access_, CallRecord(*context, "Upload", metrics_), *response,
                     uploads_.Admit());
}

absl::Status ArtifactService::ReadProgress(const Caller& caller,
                                           const v1::QueryUploadRequest& request,
                                           v1::QueryUploadResponse& response) const {
  const Digest digest = *Digest::Parse(request.digest());
  const absl::StatusOr<storage::BlobRecord> blob = dependencies_.store->GetBlob(digest);
  DISTILL_ASSIGN_OR_RETURN(const std::vector<Digest> hidden, access_.Hidden(caller, {digest}));
  if (blob.ok() && blob->state == storage::BlobState::kPresent && hidden.empty()) {
    response.set_committed_bytes(blob->size_bytes);
    response.set_complete(true);
    return absl::OkStatus();
  }
  DISTILL_ASSIGN_OR_RETURN(const uint64_t arrived, dependencies_.blobs->UploadedBytes(
                                                       UploadIdOf(caller, request.upload_id())));
  response.set_committed_bytes(static_cast<int64_t>(arrived));
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* ArtifactService::QueryUpload(grpc::CallbackServerContext* context,
                                                       const v1::QueryUploadRequest* request,
                                                       v1::QueryUploadResponse* response) {
  return StartCall(context, "QueryUpload", metrics_, *request, [&](const UnaryCallPtr& call) {
    RunOn(*dependencies_.transfers, call, [this, caller = call->caller(), request, response] {
      return ReadProgress(caller, *request, *response);
    });
  });
}

grpc::ServerWriteReactor<v1::DownloadResponse>* ArtifactService::Download(
    grpc::CallbackServerContext* context, const v1::DownloadRequest* request) {
  const std::string text = request->digest();
  BlobStreamSource source;
  source.offset = request->offset();
  source.limit = request->limit();
  source.verify = !request->caller_verifies();
  source.find = [this, text](const Caller& caller) -> absl::StatusOr<Digest> {
    DISTILL_ASSIGN_OR_RETURN(Digest digest, Digest::Parse(text));
    DISTILL_RETURN_IF_ERROR(access_.CheckReadable(caller, digest));
    return digest;
  };
  return StartBlobStream<v1::DownloadResponse>(dependencies_,
                                               CallRecord(*context, "Download", metrics_), *request,
                                               std::move(source), downloads_.Admit());
}

absl::StatusOr<ArtifactService::Sending> ArtifactService::Authorise(const UnaryCall& call,
                                                                    const UploadPurpose& purpose,
                                                                    const Digest& digest) const {
  Sending sending;
  DISTILL_ASSIGN_OR_RETURN(sending.owners, access_.OwnersOfUpload(call.admission(), purpose));
  DISTILL_ASSIGN_OR_RETURN(const std::vector<Digest> hidden,
                           access_.Hidden(call.caller(), {digest}));
  sending.is_hidden = !hidden.empty();
  return sending;
}

absl::Status ArtifactService::FindPlace(const Caller& caller,
                                        const v1::LocateUploadRequest& request,
                                        v1::LocateUploadResponse& response) const {
  if (BlobAccess::MaySendDirectly(caller)) {
    DISTILL_ASSIGN_OR_RETURN(
        const std::optional<storage::BlobLocation> location,
        dependencies_.blobs->LocateUpload(*Digest::Parse(request.digest()),
                                          static_cast<uint64_t>(request.size_bytes())));
    if (location.has_value()) {
      *response.mutable_location() = ToProto(*location);
      return absl::OkStatus();
    }
  }
  DISTILL_ASSIGN_OR_RETURN(const uint64_t arrived, dependencies_.blobs->UploadedBytes(
                                                       UploadIdOf(caller, request.upload_id())));
  response.set_committed_bytes(static_cast<int64_t>(arrived));
  return absl::OkStatus();
}

void ArtifactService::Announce(const UnaryCallPtr& call, const v1::LocateUploadRequest& request,
                               v1::LocateUploadResponse& response) {
  const Digest digest = *Digest::Parse(request.digest());
  absl::StatusOr<Sending> sending = Authorise(*call, PurposeOf(request), digest);
  if (!sending.ok()) return call->Finish(sending.status());
  // Also keeps retention from removing the blob under the sender's hands.
  dependencies_.driver->Post(
      server::FindMissing{{digest}}, [this, call, digest, sending = *std::move(sending), &request,
                                      &response](absl::StatusOr<FindMissingReply> reply) {
        if (!reply.ok()) return call->Finish(reply.status());
        if (!reply->busy.empty()) {
          return call->Finish(absl::UnavailableError(
              absl::StrCat("cannot upload artifact: it is just being removed; retry later; digest=",
                           digest.str())));
        }
        if (!reply->missing.empty()) {
          return RunOn(*dependencies_.transfers, call, [this, call, &request, &response] {
            return FindPlace(call->caller(), request, response);
          });
        }
        // Another project has the same bytes: whoever sends them all through Upload may read them.
        if (sending.is_hidden) return call->Finish(absl::OkStatus());
        response.set_already_present(true);
        Own(call, digest, sending.owners);
      });
}

void ArtifactService::Own(const UnaryCallPtr& call, const Digest& digest,
                          const std::vector<ProjectId>& owners) {
  if (owners.empty()) return call->Finish(absl::OkStatus());
  StoreRows owned;
  for (const ProjectId& project : owners) {
    owned.rows.push_back(storage::PutBlobOwner{{digest, project}});
  }
  dependencies_.driver->Post(std::move(owned), [call](const absl::StatusOr<Done>& reply) {
    call->Finish(reply.status());
  });
}

grpc::ServerUnaryReactor* ArtifactService::LocateUpload(grpc::CallbackServerContext* context,
                                                        const v1::LocateUploadRequest* request,
                                                        v1::LocateUploadResponse* response) {
  return StartCall(context, "LocateUpload", metrics_, *request, [&](const UnaryCallPtr& call) {
    const absl::Status queued = dependencies_.queries->Submit(
        [this, call, request, response] { Announce(call, *request, *response); });
    if (!queued.ok()) call->Finish(queued);
  });
}

void ArtifactService::Publish(const UnaryCallPtr& call, const v1::FinalizeUploadRequest& request,
                              v1::UploadResponse& response) {
  const Digest digest = *Digest::Parse(request.digest());
  absl::StatusOr<Sending> sending = Authorise(*call, PurposeOf(request), digest);
  if (!sending.ok()) return call->Finish(sending.status());
  if (!BlobAccess::MaySendDirectly(call->caller())) {
    return call->Finish(absl::PermissionDeniedError(absl::StrCat(
        "cannot finalize upload: people send through Upload; caller=", call->caller().name,
        " digest=", digest.str())));
  }
  const absl::Status checked =
      dependencies_.blobs->FinishDirectUpload(digest, static_cast<uint64_t>(request.size_bytes()));
  if (!checked.ok()) return call->Finish(checked);
  response.set_digest(request.digest());
  response.set_size_bytes(request.size_bytes());
  dependencies_.driver->Post(
      BlobPresent{digest, request.size_bytes(), static_cast<int32_t>(request.type())},
      [this, call, digest, owners = std::move(sending->owners)](absl::StatusOr<Done> reply) {
        if (!reply.ok()) return call->Finish(reply.status());
        Own(call, digest, owners);
      });
}

grpc::ServerUnaryReactor* ArtifactService::FinalizeUpload(grpc::CallbackServerContext* context,
                                                          const v1::FinalizeUploadRequest* request,
                                                          v1::UploadResponse* response) {
  return StartCall(context, "FinalizeUpload", metrics_, *request, [&](const UnaryCallPtr& call) {
    const absl::Status queued = dependencies_.transfers->Submit(
        [this, call, request, response] { Publish(call, *request, *response); });
    if (!queued.ok()) call->Finish(queued);
  });
}

absl::Status ArtifactService::FindSource(const Caller& caller,
                                         const v1::LocateDownloadRequest& request,
                                         v1::LocateDownloadResponse& response) const {
  const Digest digest = *Digest::Parse(request.digest());
  DISTILL_RETURN_IF_ERROR(access_.CheckReadable(caller, digest));
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
    RunOn(*dependencies_.queries, call, [this, caller = call->caller(), request, response] {
      return FindSource(caller, *request, *response);
    });
  });
}

}  // namespace distill::server
