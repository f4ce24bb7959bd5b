// Fills in what a job leaves open, with the defaults that proto/distill/v1 states, so that all that
// follows (checks, plan, task keys, reports) sees one explicit form.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "distill/v1/job.pb.h"

namespace distill::server {

// What a data set's files say.
struct DatasetInfo {
  std::string digest;  // "sha256:hex" of the decoded content.
  int image_size = 0;  // Height and width where all images are squares of one size; otherwise 0.
  int channels = 0;
  int classes = 0;
  int train_images = 0;    // 0 in a set for evaluation only.
  int smallest_class = 0;  // Training images of the rarest class; 0 when unknown.
  int test_images = 0;     // 0 when unknown.
  // Images of each class; empty when unknown, the former also in a set for evaluation only.
  std::vector<int64_t> train_class_images;
  std::vector<int64_t> test_class_images;
  // Of each channel, over all training images, of values in [0, 1]; empty when unknown.
  std::vector<double> mean;
  std::vector<double> deviation;
  std::vector<std::string> class_names;  // In order of label; empty when the format has none.
};

// What the files of all data sets of a job say, in the order of the spec.
struct JobDatasets {
  DatasetInfo main;
  std::vector<DatasetInfo> out_of_distribution;
  std::vector<DatasetInfo> few_shot;
};

// Returns `spec` with its preset merged in and every optional field set, except those of data sets
// that only their files tell and `execution.numeric_class`. Total: a spec that makes no sense gives
// one that ValidateJobSpec refuses. Idempotent.
v1::JobSpec ResolveDefaults(const v1::JobSpec& spec);

// Returns `resolved` with the digests and shapes of its data sets filled in, and the class of the
// model for each class of an out-of-distribution set where names tell. Fields that are already set
// are kept, so that ValidateDatasets can compare them.
v1::JobSpec ResolveDatasets(const v1::JobSpec& resolved, const JobDatasets& infos);

}  // namespace distill::server
