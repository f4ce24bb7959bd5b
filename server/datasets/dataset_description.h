// Data sets between three tongues: the protocol's messages, the readers of worker/data, and the
// records of the state store.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "distill/v1/dataset_service.pb.h"
#include "storage/state/records.h"
#include "worker/data/dataset_factory.h"
#include "worker/data/scan.h"

namespace distill::server {

// How the readers are to open the files. kInvalidArgument for a format or policy that this program
// does not know.
absl::StatusOr<data::DatasetOptions> ReaderOptions(const v1::DatasetSource& source);
data::CorruptImagePolicy ReaderPolicy(v1::CorruptImagePolicy policy);

// kInvalidArgument when the facts do not fit into an answer: their text is bounded.
absl::StatusOr<v1::DatasetFacts> ToProto(const data::DatasetFacts& facts);

// What is different between what was found at first and what is there now, a line each, at most
// 100. Empty: nothing.
std::vector<std::string> Differences(const v1::DatasetFacts& before, const v1::DatasetFacts& now);

// As stored; without what is being read at the moment.
v1::Dataset ToProto(const storage::DatasetRecord& record);

// Name of the blob that lists the others in DatasetStatus::blobs.
inline constexpr char kManifestBlob[] = "manifest";

}  // namespace distill::server
