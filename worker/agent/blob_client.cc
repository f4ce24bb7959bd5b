#include "worker/agent/blob_client.h"

#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
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
    : config_(std::move(config)), connection_(&connection) {}

absl::Status BlobClient::Read(const Digest& digest, int64_t offset, const CancelToken& cancel,
                              const std::function<absl::Status(absl::string_view)>& sink) {
  v1::DownloadRequest request;
  request.set_digest(digest.str());
  request.set_offset(offset);
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
    DISTILL_ASSIGN_OR_RETURN(const bool missing, IsMissing(blob.digest));
    if (!missing) return absl::OkStatus();
    DISTILL_ASSIGN_OR_RETURN(const int64_t committed, CommittedBytes(upload_id, blob));
    return Stream(upload_id, blob, committed, cancel);
  };
  return Annotate(run(), absl::StrCat("cannot upload ", blob.digest.str()));
}

absl::StatusOr<bool> BlobClient::IsMissing(const Digest& digest) {
  grpc::ClientContext context;
  SetDeadline(context, config_.call_deadline);
  v1::FindMissingRequest request;
  request.add_digests(digest.str());
  v1::FindMissingResponse response;
  const auto stub = v1::ArtifactService::NewStub(connection_->bulk());
  DISTILL_RETURN_IF_ERROR(FromGrpcStatus(stub->FindMissing(&context, request, &response)));
  return response.missing_digests_size() > 0;
}

absl::StatusOr<int64_t> BlobClient::CommittedBytes(const std::string& upload_id,
                                                   const LocalBlob& blob) {
  grpc::ClientContext context;
  SetDeadline(context, config_.call_deadline);
  v1::QueryUploadRequest request;
  request.set_upload_id(upload_id);
  request.set_digest(blob.digest.str());
  v1::QueryUploadResponse response;
  const auto stub = v1::ArtifactService::NewStub(connection_->bulk());
  const absl::Status status = FromGrpcStatus(stub->QueryUpload(&context, request, &response));
  if (absl::IsNotFound(status)) return 0;
  DISTILL_RETURN_IF_ERROR(status);
  // A finished upload is answered by the stream itself, which the server ends at once.
  return response.complete() ? blob.size_bytes : response.committed_bytes();
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
  DISTILL_RETURN_IF_ERROR(FromGrpcStatus(end));
  if (response.digest() != blob.digest.str()) {
    return absl::InvalidArgumentError(
        absl::StrCat("server has another digest; path=", blob.path, " got=", response.digest()));
  }
  return absl::OkStatus();
}

}  // namespace distill::worker
