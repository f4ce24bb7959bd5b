// Looks into the weights that a job brings along, before anything starts.
#pragma once

#include "absl/status/status.h"
#include "distill/v1/job.pb.h"
#include "storage/blob/blob_store.h"

namespace distill::server {

// Checks every artifact that `spec.given` names: it is there, it is safetensors, its tensors are
// those of the network it is given for (by whole-model or timm's names), and all values are finite.
// Requires a resolved, validated spec. Blocks: reads the blobs once, a piece at a time.
// kInvalidArgument "cannot accept job: given.meta: ..." naming tensors and what is wrong with them;
// errors of the blob store otherwise.
absl::Status CheckGivenArtifacts(const v1::JobSpec& spec, const storage::BlobStore& blobs);

}  // namespace distill::server
