#include "worker/agent/blob_client.h"

#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "distill/v1/artifact_service.grpc.pb.h"
#include "grpcpp/client_context.h"
#include "proto/status/grpc_status.h"

namespace distill::worker {
namespace {

constexpr size_t kUploadIdDigestChars = 40;

void SetDeadline(grpc::ClientContext& context, absl::Duration timeout) {
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout));
}

std::string UploadId(const std::string& worker_id, const Digest& digest) {
  return absl::StrCat(digest.hex().substr(0, kUploadIdDigestChars), "-",
                      Digest::OfBytes(worker_id).hex().substr(0, 16));
}

}  // namespace

v1::ArtifactType ArtifactTypeOf(absl::string_view name) {
  if (name == "model") return v1::ARTIFACT_TYPE_MODEL;
  if (name == "module" || absl::StartsWith(name, "stage")) return v1::ARTIFACT_TYPE_MODULE;
  if (name == "signatures") return v1::ARTIFACT_TYPE_MODULE;
  if (name == "metrics" || name == "connectivity" || name == "verdict") {
    return v1::ARTIFACT_TYPE_METRICS;
  }
  if (name == "affinity") return v1::ARTIFACT_TYPE_REPORT;  // A picture for the report.
  if (name == "checkpoint") return v1::ARTIFACT_TYPE_CHECKPOINT;
  if (name == "series") return v1::ARTIFACT_TYPE_SERIES;
  if (name == "log") return v1::ARTIFACT_TYPE_LOG;
  if (name == "spans") return v1::ARTIFACT_TYPE_SPANS;
  return v1::ARTIFACT_TYPE_UNSPECIFIED;
}

BlobClient::BlobClient(Config config, ServerConnection& connection)
    : config_(std::move(config)), connection_(&connection), direct_(config_.object_store_ca_file) {}

absl::Status BlobClient::Read(const Digest& digest, int64_t offset, const CancelToken& cancel,
                              const std::function<absl::Status(absl::string_view)>& sink) {
  const absl::Status status = ReadDirectly(digest, offset, cancel, sink);
  if (absl::IsUnimplemented(status)) return ReadStream(digest, offset, cancel, sink);
  return Annotate(status, absl::StrCat("cannot download ", digest.str()));
}

absl::Status BlobClient::ReadDirectly(const Digest& digest, int64_t offset,
                                      const CancelToken& cancel,
                                      const std::function<absl::Status(absl::string_view)>& sink) {
  const absl::Status through_server = absl::UnimplementedError("through the server");
  if (old_server_) return through_server;
  grpc::ClientContext context;
  SetDeadline(context, config_.call_deadline);
  v1::LocateDownloadRequest request;
  request.set_digest(digest.str());
  v1::LocateDownloadResponse response;
  const auto stub = v1::ArtifactService::NewStub(connection_->bulk());
  const absl::Status located = FromGrpcStatus(stub->LocateDownload(&context, request, &response));
  if (absl::IsUnimplemented(located)) old_server_ = true;
  DISTILL_RETURN_IF_ERROR(located);
  if (!response.has_location()) return through_server;
  int64_t arrived = 0;
  absl::Status refused;
  const absl::Status status =
      direct_.Read(response.location(), offset, cancel, [&](absl::string_view bytes) {
        arrived += static_cast<int64_t>(bytes.size());
        refused = sink(bytes);
        return refused;
      });
  if (status.ok() || !refused.ok() || arrived > 0 || cancel.cancelled()) return status;
  if (absl::IsNotFound(status) || absl::IsOutOfRange(status)) return status;
  LogWarning("cannot read from the object store directly; the server is asked",
             {{"digest", digest.str()}, {"cause", status}});
  return through_server;
}

absl::Status BlobClient::ReadStream(const Digest& digest, int64_t offset, const CancelToken& cancel,
                                    const std::function<absl::Status(absl::string_view)>& sink) {
  v1::DownloadRequest request;
  request.set_digest(digest.str());
  request.set_offset(offset);
  // A difference is reported as a bad input of the attempt, which the server then checks.
  request.set_caller_verifies(true);
  grpc::ClientContext context;
  SetDeadline(context, config_.stream_deadline);
  const auto stub = v1::ArtifactService::NewStub(connection_->bulk());
  const auto reader = stub->Download(&context, request);
  v1::DownloadResponse response;
  int64_t position = offset;
  absl::Status stopped;
  while (stopped.ok() && reader->Read(&response)) {
    if (cancel.cancelled()) {
      stopped = absl::CancelledError("download was cancelled");
    } else if (response.offset() != position) {
      stopped = absl::UnavailableError(absl::StrCat(
          "server sent another place of the blob; want=", position, " got=", response.offset()));
    } else {
      stopped = sink(response.data());
      position += static_cast<int64_t>(response.data().size());
    }
  }
  if (!stopped.ok()) context.TryCancel();
  const grpc::Status end = reader->Finish();
  const absl::Status status = stopped.ok() ? FromGrpcStatus(end) : stopped;
  return Annotate(status, absl::StrCat("cannot download ", digest.str()));
}

absl::Status BlobClient::Upload(const LocalBlob& blob, const CancelToken& cancel) {
  const std::string upload_id = UploadId(config_.worker_id, blob.digest);
  const auto run = [&]() -> absl::Status {
    DISTILL_ASSIGN_OR_RETURN(const v1::LocateUploadResponse place, Locate(upload_id, blob));
    if (place.already_present()) return absl::OkStatus();
    if (!place.has_location()) return Stream(upload_id, blob, place.committed_bytes(), cancel);
    const absl::Status sent = SendTo(place.location(), blob, cancel);
    if (!absl::IsUnavailable(sent) && !absl::IsUnimplemented(sent) &&
        !absl::IsFailedPrecondition(sent)) {
      return sent;
    }
    if (cancel.cancelled()) return sent;
    LogWarning("cannot send to the object store directly; the server is asked",
               {{"digest", blob.digest.str()}, {"cause", sent}});
    DISTILL_ASSIGN_OR_RETURN(const v1::LocateUploadResponse other,
                             LocateByOldCalls(upload_id, blob));
    if (other.already_present()) return absl::OkStatus();
    return Stream(upload_id, blob, other.committed_bytes(), cancel);
  };
  return Annotate(run(), absl::StrCat("cannot upload ", blob.digest.str()));
}

absl::StatusOr<v1::LocateUploadResponse> BlobClient::Locate(const std::string& upload_id,
                                                            const LocalBlob& blob) {
  if (old_server_) return LocateByOldCalls(upload_id, blob);
  grpc::ClientContext context;
  SetDeadline(context, config_.call_deadline);
  v1::LocateUploadRequest request;
  request.set_upload_id(upload_id);
  request.set_digest(blob.digest.str());
  request.set_size_bytes(blob.size_bytes);
  if (!blob.lease.lease_id().empty()) *request.mutable_lease() = blob.lease;
  v1::LocateUploadResponse response;
  const auto stub = v1::ArtifactService::NewStub(connection_->bulk());
  const absl::Status status = FromGrpcStatus(stub->LocateUpload(&context, request, &response));
  if (absl::IsUnimplemented(status)) {
    old_server_ = true;
    return LocateByOldCalls(upload_id, blob);
  }
  DISTILL_RETURN_IF_ERROR(status);
  return response;
}

absl::StatusOr<v1::LocateUploadResponse> BlobClient::LocateByOldCalls(const std::string& upload_id,
                                                                      const LocalBlob& blob) {
  const auto stub = v1::ArtifactService::NewStub(connection_->bulk());
  v1::LocateUploadResponse place;
  {
    grpc::ClientContext context;
    SetDeadline(context, config_.call_deadline);
    v1::FindMissingRequest request;
    request.add_digests(blob.digest.str());
    v1::FindMissingResponse response;
    DISTILL_RETURN_IF_ERROR(FromGrpcStatus(stub->FindMissing(&context, request, &response)));
    place.set_already_present(response.missing_digests_size() == 0);
    if (place.already_present()) return place;
  }
  grpc::ClientContext context;
  SetDeadline(context, config_.call_deadline);
  v1::QueryUploadRequest request;
  request.set_upload_id(upload_id);
  request.set_digest(blob.digest.str());
  v1::QueryUploadResponse response;
  const absl::Status status = FromGrpcStatus(stub->QueryUpload(&context, request, &response));
  if (absl::IsNotFound(status)) return place;
  DISTILL_RETURN_IF_ERROR(status);
  // A finished upload is answered by the stream itself, which the server ends at once.
  place.set_committed_bytes(response.complete() ? blob.size_bytes : response.committed_bytes());
  return place;
}

absl::Status BlobClient::SendTo(const v1::HttpLocation& location, const LocalBlob& blob,
                                const CancelToken& cancel) {
  DISTILL_RETURN_IF_ERROR(direct_.Write(location, blob.path, blob.size_bytes, cancel));
  grpc::ClientContext context;
  SetDeadline(context, config_.finalize_deadline);
  v1::FinalizeUploadRequest request;
  request.set_digest(blob.digest.str());
  request.set_size_bytes(blob.size_bytes);
  request.set_type(blob.type);
  if (!blob.lease.lease_id().empty()) *request.mutable_lease() = blob.lease;
  v1::UploadResponse response;
  const auto stub = v1::ArtifactService::NewStub(connection_->bulk());
  const absl::Status status = FromGrpcStatus(stub->FinalizeUpload(&context, request, &response));
  // What was just sent is not there: somebody removed it. The file is still here.
  return absl::IsNotFound(status) ? absl::UnavailableError(status.message()) : status;
}

absl::Status BlobClient::Stream(const std::string& upload_id, const LocalBlob& blob, int64_t offset,
                                const CancelToken& cancel) {
  std::ifstream file(blob.path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("file is gone; path=", blob.path));
  file.seekg(offset);
  grpc::ClientContext context;
  SetDeadline(context, config_.stream_deadline);
  const auto stub = v1::ArtifactService::NewStub(connection_->bulk());
  v1::UploadResponse response;
  const auto writer = stub->Upload(&context, &response);
  v1::UploadRequest request;
  request.set_upload_id(upload_id);
  request.set_digest(blob.digest.str());
  request.set_size_bytes(blob.size_bytes);
  request.set_type(blob.type);
  if (!blob.lease.lease_id().empty()) *request.mutable_lease() = blob.lease;
  std::string chunk(config_.chunk_bytes, '\0');
  absl::Status stopped;
  // Also an empty blob, and one of which all bytes are there already, needs a first message.
  do {
    const auto want =
        std::min<int64_t>(static_cast<int64_t>(chunk.size()), blob.size_bytes - offset);
    if (want > 0 && !file.read(chunk.data(), want)) {
      stopped = absl::InvalidArgumentError(absl::StrCat("file is too short; path=", blob.path));
      break;
    }
    request.set_offset(offset);
    request.set_data(chunk.data(), static_cast<size_t>(std::max<int64_t>(want, 0)));
    if (cancel.cancelled()) stopped = absl::CancelledError("upload was cancelled");
    // A stream that takes no more has its reason in Finish().
    if (!stopped.ok() || !writer->Write(request)) break;
    offset += want;
    request.Clear();
  } while (offset < blob.size_bytes);
  if (!stopped.ok()) context.TryCancel();
  writer->WritesDone();
  const grpc::Status end = writer->Finish();
  DISTILL_RETURN_IF_ERROR(stopped);
  const absl::Status status = FromGrpcStatus(end);
  // A try that was thought lost got further: the next one asks again where the upload stands.
  if (absl::IsOutOfRange(status)) return absl::UnavailableError(status.message());
  DISTILL_RETURN_IF_ERROR(status);
  if (response.digest() != blob.digest.str()) {
    return absl::InvalidArgumentError(
        absl::StrCat("server has another digest; path=", blob.path, " got=", response.digest()));
  }
  return absl::OkStatus();
}

}  // namespace distill::worker
