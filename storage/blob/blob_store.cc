// Whole blobs in one call, on top of the interface; and the answer of stores that are reached only
// through their own process.
#include "storage/blob/blob_store.h"

#include <algorithm>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace distill::storage {
namespace {

constexpr uint64_t kChunkBytes = 1 << 20;

}  // namespace

absl::StatusOr<std::optional<BlobLocation>> BlobStore::LocateDownload(const Digest&) const {
  return std::nullopt;
}

absl::StatusOr<std::optional<BlobLocation>> BlobStore::LocateUpload(const Digest&, uint64_t) {
  return std::nullopt;
}

absl::Status BlobStore::FinishDirectUpload(const Digest&, uint64_t) {
  return absl::UnimplementedError(
      "cannot finish direct upload: this object store takes uploads only through the server");
}

absl::StatusOr<Digest> WriteBlob(BlobStore& store, absl::string_view upload_id,
                                 absl::string_view bytes) {
  const Digest digest = Digest::OfBytes(bytes);
  DISTILL_ASSIGN_OR_RETURN(const std::unique_ptr<BlobUpload> upload,
                           store.StartUpload(upload_id, digest, bytes.size()));
  if (!upload->already_present()) {
    const uint64_t start = upload->committed_size();
    DISTILL_RETURN_IF_ERROR(upload->Append(start, bytes.substr(start)));
  }
  DISTILL_RETURN_IF_ERROR(upload->Commit());
  return digest;
}

absl::StatusOr<Digest> WriteBlobFile(BlobStore& store, absl::string_view upload_id,
                                     const std::string& path) {
  DISTILL_ASSIGN_OR_RETURN(const Digest digest, DigestOfFile(path));
  DISTILL_ASSIGN_OR_RETURN(const uint64_t size, FileSize(path));
  DISTILL_ASSIGN_OR_RETURN(const std::unique_ptr<BlobUpload> upload,
                           store.StartUpload(upload_id, digest, size));
  if (upload->already_present()) return digest;
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(upload->committed_size()));
  std::string chunk;
  while (upload->committed_size() < size) {
    chunk.resize(static_cast<size_t>(std::min(kChunkBytes, size - upload->committed_size())));
    file.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    if (!file) {
      return absl::InternalError(
          absl::StrCat("cannot read ", path, ": it became shorter meanwhile"));
    }
    DISTILL_RETURN_IF_ERROR(upload->Append(upload->committed_size(), chunk));
  }
  DISTILL_RETURN_IF_ERROR(upload->Commit());
  return digest;
}

absl::StatusOr<std::string> ReadBlob(const BlobStore& store, const Digest& digest,
                                     uint64_t max_bytes) {
  DISTILL_ASSIGN_OR_RETURN(const std::unique_ptr<BlobReader> reader, store.OpenReader(digest));
  if (reader->size_bytes() > max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot read blob: larger than allowed; digest=", digest.str(),
                     " size_bytes=", reader->size_bytes(), " max_bytes=", max_bytes));
  }
  DISTILL_ASSIGN_OR_RETURN(std::string bytes, reader->Read(0, reader->size_bytes()));
  if (Digest::OfBytes(bytes) != digest) {
    return absl::DataLossError(
        absl::StrCat("cannot read blob: its bytes have another digest; digest=", digest.str()));
  }
  return bytes;
}

}  // namespace distill::storage
