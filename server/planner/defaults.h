// Fills in what a job leaves open, with the defaults that proto/distill/v1 states, so that all that
// follows (checks, plan, task keys, reports) sees one explicit form.
#pragma once

#include <cstdint>
#include <string>

#include "distill/v1/job.pb.h"

namespace distill::server {

// What a data set's files say.
struct DatasetInfo {
  std::string digest;  // "sha256:hex" of the decoded content.
  int image_size = 0;  // Height and width.
  int channels = 0;
  int classes = 0;
  int train_images = 0;
  int smallest_class = 0;  // Training images of the rarest class; 0 when unknown.
  int test_images = 0;     // 0 when unknown.
};

// Returns `spec` with every optional field set, except those of `dataset` that only its files
// tell and `execution.numeric_class`. Total: a spec that makes no sense gives one that
// ValidateJobSpec refuses. Idempotent.
v1::JobSpec ResolveDefaults(const v1::JobSpec& spec);

// Returns `resolved` with the data set's digest and shape filled in. Fields that are already set
// are kept, so that ValidateJobSpec can compare them.
v1::JobSpec ResolveDataset(const v1::JobSpec& resolved, const DatasetInfo& info);

}  // namespace distill::server
