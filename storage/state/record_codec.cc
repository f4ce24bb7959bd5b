#include "storage/state/record_codec.h"

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace distill::storage {
namespace {

absl::Status Corrupt(absl::string_view what, absl::string_view line) {
  return absl::DataLossError(
      absl::StrCat("cannot read ", what, " from the state store; line=", line));
}

std::vector<absl::string_view> Lines(absl::string_view text) {
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

}  // namespace

absl::StatusOr<Digest> DecodeDigest(absl::string_view text) {
  if (text.empty()) return Digest();
  absl::StatusOr<Digest> digest = Digest::Parse(text);
  if (!digest.ok()) return Corrupt("digest", text);
  return digest;
}

std::string EncodeBlobs(const std::vector<NamedBlob>& blobs) {
  std::string text;
  for (const NamedBlob& blob : blobs) {
    absl::StrAppend(&text, blob.name, "\t", blob.digest.str(), "\t", blob.size_bytes, "\n");
  }
  return text;
}

absl::StatusOr<std::vector<NamedBlob>> DecodeBlobs(absl::string_view text) {
  std::vector<NamedBlob> blobs;
  for (const absl::string_view line : Lines(text)) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, '\t');
    NamedBlob blob;
    if (fields.size() != 3 || !absl::SimpleAtoi(fields[2], &blob.size_bytes)) {
      return Corrupt("named blob", line);
    }
    blob.name = std::string(fields[0]);
    DISTILL_ASSIGN_OR_RETURN(blob.digest, DecodeDigest(fields[1]));
    blobs.push_back(std::move(blob));
  }
  return blobs;
}

std::string EncodeInputs(const std::vector<TaskInput>& inputs) {
  std::string text;
  for (const TaskInput& input : inputs) {
    absl::StrAppend(&text, input.name, "\t", input.producer, "\t", input.output, "\t",
                    input.given.str(), "\n");
  }
  return text;
}

absl::StatusOr<std::vector<TaskInput>> DecodeInputs(absl::string_view text) {
  std::vector<TaskInput> inputs;
  for (const absl::string_view line : Lines(text)) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, '\t');
    if (fields.size() != 4) return Corrupt("task input", line);
    TaskInput input;
    input.name = std::string(fields[0]);
    input.producer = std::string(fields[1]);
    input.output = std::string(fields[2]);
    DISTILL_ASSIGN_OR_RETURN(input.given, DecodeDigest(fields[3]));
    inputs.push_back(std::move(input));
  }
  return inputs;
}

std::string EncodeNames(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) absl::StrAppend(&text, name, "\n");
  return text;
}

std::vector<std::string> DecodeNames(absl::string_view text) {
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

std::string EncodeDigests(const std::vector<Digest>& digests) {
  std::string text;
  for (const Digest& digest : digests) absl::StrAppend(&text, digest.str(), "\n");
  return text;
}

absl::StatusOr<std::vector<Digest>> DecodeDigests(absl::string_view text) {
  std::vector<Digest> digests;
  for (const absl::string_view line : Lines(text)) {
    DISTILL_ASSIGN_OR_RETURN(Digest digest, DecodeDigest(line));
    digests.push_back(std::move(digest));
  }
  return digests;
}

}  // namespace distill::storage
