// Names a task by all that decides the bits of its results, so that equal work is done once.
//
// The key is the SHA-256 of a canonical text, one "path=type:value" line per field, sorted by path:
// every field explicit, floats by their bits, nothing of protobuf's own encoding. A message such as
// the teacher is a text of its own, which enters by its digest: thousands of modules share it. What
// cannot change a result stays out: the folder of the data set, the checkpoint interval, the names
// of producing tasks. Inputs enter by their producer's key, so keys are known before anything runs.
#pragma once

#include <map>
#include <string>
#include <unordered_map>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/digest.h"
#include "distill/v1/task.pb.h"

namespace distill::server {

// Numeric class that promises no bits; its results are reused within one job only.
inline constexpr absl::string_view kAnyNumericClass = "any";

// Version of what a kind computes, raised by hand when its bits change. 1 or above.
int SemanticsVersion(v1::TaskKind kind);

// Keys of the tasks already encoded, by name within the job.
using ProducerKeys = std::unordered_map<std::string, Digest>;

class CanonicalText;

// Encodes the tasks of a job. One thread.
class TaskKeyEncoder {
 public:
  // `scope` keeps apart what may not be shared between jobs; it is empty unless the numeric class
  // is "any".
  explicit TaskKeyEncoder(absl::string_view scope) : scope_(scope) {}

  // kInvalidArgument when a producer of an input is not in `producers`.
  absl::StatusOr<Digest> Key(const v1::TaskSpec& spec, const ProducerKeys& producers);
  // What Key returns the digest of.
  absl::StatusOr<std::string> Text(const v1::TaskSpec& spec, const ProducerKeys& producers);
  // All that the key depends on, by path, as people write it.
  absl::StatusOr<std::map<std::string, std::string>> Parts(const v1::TaskSpec& spec,
                                                           const ProducerKeys& producers) const;
  // The texts that the task's own text names by their digests, by path.
  static std::map<std::string, std::string> PartTexts(const v1::TaskSpec& spec);

 private:
  // Encodes what has no text of its own.
  absl::Status EncodeOwn(const v1::TaskSpec& spec, const ProducerKeys& producers,
                         CanonicalText& text) const;

  const std::string scope_;
  // Of parts already encoded, by their path and protobuf's bytes.
  std::unordered_map<std::string, Digest> parts_;
  // The one that is looked up; kept for its memory.
  std::string part_key_;
};

}  // namespace distill::server
