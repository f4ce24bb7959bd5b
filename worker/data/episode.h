// Draws a few-shot episode: a small classification task of some classes of a data set, with a few
// images of each to learn from and others to be tested on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/data/dataset.h"
#include "worker/data/dataset_factory.h"

namespace distill::data {

struct EpisodeSpec {
  int ways = 8;          // Classes.
  int shots = 5;         // Training images of each.
  int test_images = 15;  // Test images of each.
  uint64_t seed = 0;
};

struct Episode {
  std::shared_ptr<const Dataset> train;  // ways * shots images, by class.
  std::shared_ptr<const Dataset> test;   // ways * test_images, by class.
  std::vector<int> classes;  // The data set's class of each of the episode's, ascending.
};

// Training images come from the training split and test images from the test split, so none is in
// both; of a data set with test images only, both come from there, and differ. Classes are drawn
// among those that have enough of either. A function of the labels and the spec alone.
// kInvalidArgument names the field that is out of range, or says that too few classes have enough
// images.
absl::StatusOr<Episode> DrawEpisode(const DatasetPair& pair, const EpisodeSpec& spec);

}  // namespace distill::data
