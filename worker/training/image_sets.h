// The images of a task: opened once per process, checked against the digest that the task names,
// and shared by all tasks that follow.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "distill/v1/job.pb.h"
#include "worker/data/dataset.h"
#include "worker/data/dataset_factory.h"
#include "worker/data/transform.h"

namespace distill::training {

struct ImageSets {
  std::shared_ptr<const data::Dataset> train;  // Null where there are test images only.
  std::shared_ptr<const data::Dataset> test;
  std::vector<std::string> class_names;  // By label; may be empty.
  // What every split is normalised by: as the spec says, else of all training images.
  data::ChannelStatistics statistics;
};

// Holds the data sets that were asked for last: as many as one job usually has, so that its tests
// on other sets do not make its own be read again. One thread.
class ImageSetsCache {
 public:
  // Reads both splits unless they are held already. Errors: those of the reader;
  // kFailedPrecondition when the content is not what the spec's digest or shape says.
  absl::StatusOr<std::shared_ptr<const ImageSets>> Open(const v1::DatasetSpec& spec);

 private:
  struct Held {
    std::string source;  // What decides which images are read, serialised.
    std::shared_ptr<const ImageSets> sets;
  };
  std::deque<Held> held_;  // The one asked for last is in front.
};

// The training images that the spec chooses: all, or `train_images` of them. kInvalidArgument where
// there are test images only.
absl::StatusOr<std::shared_ptr<const data::Dataset>> ChooseTrainingImages(
    const ImageSets& sets, const v1::DatasetSpec& spec);

// How images are brought to the size that `spec` says, and normalised, for every model of a job.
data::TransformConfig Normalization(const ImageSets& sets, const v1::DatasetSpec& spec);

data::CorruptImagePolicy CorruptImagesOf(const v1::DatasetSpec& spec);

}  // namespace distill::training
