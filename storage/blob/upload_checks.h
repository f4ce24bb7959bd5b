// The refusals that all blob stores share, so that they read alike and mean the same.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/digest.h"

namespace distill::storage {

absl::Status CheckUploadId(absl::string_view upload_id);
absl::Status CheckUpload(absl::string_view upload_id, const Digest& expected_digest);
absl::Status CheckAppend(absl::string_view upload_id, uint64_t offset, uint64_t committed_size,
                         uint64_t append_size, uint64_t expected_size);
// Returns why finished bytes are not the announced blob; OK when they are. `resumed` tells that
// part of them came from an earlier session, so that the sender may not be to blame.
absl::Status CheckFinished(absl::string_view upload_id, const Digest& expected_digest,
                           uint64_t expected_size, const Digest& digest, uint64_t size,
                           bool resumed);
absl::Status CheckRoom(uint64_t used_bytes, uint64_t wanted_bytes, uint64_t max_bytes);

absl::Status UploadInUse(absl::string_view upload_id);
absl::Status UploadFinished(absl::string_view upload_id);
absl::Status BlobNotFound(const Digest& digest);
absl::Status BlobCorrupt(const Digest& digest, const Digest& got);
absl::Status ReadBeyondEnd(const Digest& digest, uint64_t offset, uint64_t size);

}  // namespace distill::storage
