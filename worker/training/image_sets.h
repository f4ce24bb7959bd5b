// The images of a task: read once per process, checked against the digest that the task names, kept
// as bytes, and shared by all tasks that follow.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "distill/v1/job.pb.h"
#include "worker/data/dataset.h"

namespace distill::training {

struct ImageSets {
  std::shared_ptr<const data::Dataset> train;
  std::shared_ptr<const data::Dataset> test;
  // Of all training images; what every split is normalised by.
  data::ChannelStatistics statistics;
};

// Holds the data set that was asked for last. One thread.
class ImageSetsCache {
 public:
  // Reads both splits unless they are held already. Errors: those of the reader;
  // kFailedPrecondition when the content is not what the spec's digest or shape says.
  absl::StatusOr<std::shared_ptr<const ImageSets>> Open(const v1::DatasetSpec& spec);

 private:
  v1::DatasetSpec held_spec_;  // Of held_, without what only chooses a subset.
  std::shared_ptr<const ImageSets> held_;
};

// The training images that the spec chooses: all, or `train_images` of them.
absl::StatusOr<std::shared_ptr<const data::Dataset>> ChooseTrainingImages(
    const ImageSets& sets, const v1::DatasetSpec& spec);

}  // namespace distill::training
