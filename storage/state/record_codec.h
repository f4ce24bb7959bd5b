// Lists of small records as text that a person can read in a database shell: one record a line,
// fields separated by tabs. Names and digests hold neither.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/digest.h"
#include "storage/state/records.h"

namespace distill::storage {

// Decoding returns kDataLoss for text that no Encode made.
std::string EncodeBlobs(const std::vector<NamedBlob>& blobs);
absl::StatusOr<std::vector<NamedBlob>> DecodeBlobs(absl::string_view text);
std::string EncodeInputs(const std::vector<TaskInput>& inputs);
absl::StatusOr<std::vector<TaskInput>> DecodeInputs(absl::string_view text);
std::string EncodeNames(const std::vector<std::string>& names);
std::vector<std::string> DecodeNames(absl::string_view text);
std::string EncodeDigests(const std::vector<Digest>& digests);
absl::StatusOr<std::vector<Digest>> DecodeDigests(absl::string_view text);
// The empty text is the empty digest.
absl::StatusOr<Digest> DecodeDigest(absl::string_view text);

}  // namespace distill::storage
