// The texts; the rules are those of blob_store.h.
#include "storage/blob/upload_checks.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/ids.h"

namespace distill::storage {

absl::Status CheckUploadId(absl::string_view upload_id) {
  if (IsValidIdText(upload_id)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("cannot upload blob: upload_id must be 1 to 128 of [A-Za-z0-9._-]; upload_id=\"",
                   absl::CHexEscape(upload_id.substr(0, 140)), "\""));
}

absl::Status CheckUpload(absl::string_view upload_id, const Digest& expected_digest) {
  if (expected_digest.empty()) {
    return absl::InvalidArgumentError("cannot upload blob: its digest must be announced");
  }
  return CheckUploadId(upload_id);
}

absl::Status CheckAppend(absl::string_view upload_id, uint64_t offset, uint64_t committed_size,
                         uint64_t append_size, uint64_t expected_size) {
  if (offset != committed_size) {
    return absl::OutOfRangeError(absl::StrCat(
        "cannot append to upload: offset is not where the upload stands, continue from there; "
        "upload_id=",
        upload_id, " offset=", offset, " committed_size=", committed_size));
  }
  if (append_size > expected_size - committed_size) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot append to upload: more bytes than announced; upload_id=", upload_id,
                     " offset=", offset, " bytes=", append_size, " expected_size=", expected_size));
  }
  return absl::OkStatus();
}

absl::Status CheckFinished(absl::string_view upload_id, const Digest& expected_digest,
                           uint64_t expected_size, const Digest& digest, uint64_t size,
                           bool resumed) {
  if (size == expected_size && digest == expected_digest) return absl::OkStatus();
  const std::string facts =
      absl::StrCat("; upload_id=", upload_id, " expected_digest=", expected_digest.str(),
                   " digest=", digest.str(), " expected_size=", expected_size, " size=", size);
  if (resumed && size == expected_size) {
    return absl::AbortedError(absl::StrCat(
        "cannot commit upload: the resumed part was damaged or of another blob, upload again",
        facts));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("cannot commit upload: the bytes are not the announced ones", facts));
}

absl::Status CheckRoom(uint64_t used_bytes, uint64_t wanted_bytes, uint64_t max_bytes) {
  if (max_bytes == 0) return absl::OkStatus();
  if (used_bytes <= max_bytes && wanted_bytes <= max_bytes - used_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "cannot store blob: the store is full; delete finished jobs or raise its byte limit; "
      "used_bytes=",
      used_bytes, " wanted_bytes=", wanted_bytes, " max_bytes=", max_bytes));
}

absl::Status UploadInUse(absl::string_view upload_id) {
  return absl::UnavailableError(absl::StrCat(
      "cannot open upload: another session has it open, retry when that has ended; upload_id=",
      upload_id));
}

absl::Status UploadFinished(absl::string_view upload_id) {
  return absl::FailedPreconditionError(
      absl::StrCat("cannot use upload: it has ended, start it again; upload_id=", upload_id));
}

absl::Status BlobNotFound(const Digest& digest) {
  return absl::NotFoundError(
      absl::StrCat("cannot find blob: none of that digest; digest=", digest.str()));
}

absl::Status BlobCorrupt(const Digest& digest, const Digest& got) {
  return absl::DataLossError(absl::StrCat(
      "blob is corrupt: its bytes have another digest; digest=", digest.str(), " got=", got.str()));
}

absl::Status ReadBeyondEnd(const Digest& digest, uint64_t offset, uint64_t size) {
  return absl::OutOfRangeError(
      absl::StrCat("cannot read blob: offset is beyond its end; digest=", digest.str(),
                   " offset=", offset, " size_bytes=", size));
}

}  // namespace distill::storage
