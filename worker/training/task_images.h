// The images that one task trains and tests on, and how a network is to see them.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "distill/v1/task.pb.h"
#include "worker/data/dataset.h"
#include "worker/data/dataset_factory.h"
#include "worker/data/transform.h"
#include "worker/training/image_sets.h"

namespace distill::training {

struct TaskImages {
  // The chosen ones: the subset of the data set, or a few-shot task's episode.
  std::shared_ptr<const data::Dataset> train;
  std::shared_ptr<const data::Dataset> test;
  int64_t classes = 0;
  // Size and normalisation, without augmentation.
  data::TransformConfig transform;
  data::CorruptImagePolicy corrupt_images = data::CorruptImagePolicy::kFail;
};

// Opens the images of a training task. Errors: those of ImageSetsCache::Open and data::DrawEpisode.
absl::StatusOr<TaskImages> OpenTrainingImages(const v1::TaskSpec& spec, ImageSetsCache& cache);

}  // namespace distill::training
