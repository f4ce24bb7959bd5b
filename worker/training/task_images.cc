#include "worker/training/task_images.h"

#include <utility>

#include "base/status_macros.h"
#include "worker/data/episode.h"

namespace distill::training {
namespace {

// The classifier alone is trained, so images are normalised as those of the rest were.
absl::StatusOr<TaskImages> OpenEpisode(const v1::TaskSpec& spec, ImageSetsCache& cache) {
  TaskImages images;
  DISTILL_ASSIGN_OR_RETURN(images.transform, cache.Normalization(spec.dataset()));
  const v1::DatasetSpec& dataset = spec.few_shot().dataset();
  DISTILL_ASSIGN_OR_RETURN(const std::shared_ptr<const ImageSets> sets, cache.Open(dataset));
  data::EpisodeSpec config;
  config.ways = spec.few_shot().ways();
  config.shots = spec.few_shot().shots();
  config.test_images = spec.few_shot().test_images();
  config.seed = spec.seed();
  DISTILL_ASSIGN_OR_RETURN(data::Episode episode,
                           data::DrawEpisode({sets->train, sets->test, sets->class_names}, config));
  images.train = std::move(episode.train);
  images.test = std::move(episode.test);
  images.classes = config.ways;
  images.corrupt_images = CorruptImagesOf(dataset);
  return images;
}

}  // namespace

absl::StatusOr<TaskImages> OpenTrainingImages(const v1::TaskSpec& spec, ImageSetsCache& cache) {
  if (spec.kind() == v1::TASK_KIND_FEW_SHOT) return OpenEpisode(spec, cache);
  DISTILL_ASSIGN_OR_RETURN(const std::shared_ptr<const ImageSets> sets, cache.Open(spec.dataset()));
  TaskImages images;
  DISTILL_ASSIGN_OR_RETURN(images.train, ChooseTrainingImages(*sets, spec.dataset()));
  images.test = sets->test;
  images.classes = spec.dataset().classes();
  DISTILL_ASSIGN_OR_RETURN(images.transform, cache.Normalization(spec.dataset()));
  images.corrupt_images = CorruptImagesOf(spec.dataset());
  return images;
}

}  // namespace distill::training
