// Job specs that tests start from.
#pragma once

#include <string>

#include "distill/v1/job.pb.h"
#include "server/planner/defaults.h"

namespace distill::server {

// A spec that names nothing but a data set: everything else is a default.
inline v1::JobSpec MinimalSpec() {
  v1::JobSpec spec;
  spec.mutable_dataset()->set_path("/data/fashion");
  return spec;
}

// What the files of Fashion-MNIST say.
inline DatasetInfo FashionInfo() {
  DatasetInfo info;
  info.digest = "sha256:" + std::string(64, 'a');
  info.image_size = 28;
  info.channels = 1;
  info.classes = 10;
  info.train_images = 60000;
  info.smallest_class = 6000;
  info.test_images = 10000;
  return info;
}

// All data sets of `spec` are that one.
inline JobDatasets FashionInfos(const v1::JobSpec& spec) {
  JobDatasets infos;
  infos.main = FashionInfo();
  infos.out_of_distribution.assign(
      static_cast<size_t>(spec.evaluation().out_of_distribution_size()), FashionInfo());
  infos.few_shot.assign(static_cast<size_t>(spec.few_shot_size()), FashionInfo());
  return infos;
}

// `spec` as the planner wants it.
inline v1::JobSpec CompleteSpec(const v1::JobSpec& spec) {
  v1::JobSpec complete = ResolveDatasets(ResolveDefaults(spec), FashionInfos(spec));
  if (!complete.execution().has_numeric_class()) {
    complete.mutable_execution()->set_numeric_class("cpu-x86-avx2");
  }
  return complete;
}

}  // namespace distill::server
