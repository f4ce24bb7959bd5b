#include "worker/training/batch_source.h"

#include <optional>
#include <utility>

#include "base/check.h"
#include "base/counter_random.h"
#include "base/status_macros.h"
#include "worker/optimization/mix.h"

namespace distill::training {

data::TransformConfig Normalization(const ImageSets& sets) {
  data::TransformConfig transform;
  transform.mean = sets.statistics.mean;
  transform.deviation = sets.statistics.deviation;
  return transform;
}

absl::StatusOr<std::unique_ptr<BatchSource>> BatchSource::Create(const v1::TaskSpec& spec,
                                                                 const ImageSets& sets,
                                                                 const TrainingPlan& plan,
                                                                 int64_t first_step,
                                                                 const Clock& clock) {
  DISTILL_ASSIGN_OR_RETURN(std::shared_ptr<const data::Dataset> images,
                           ChooseTrainingImages(sets, spec.dataset()));
  const v1::TrainingRecipe& recipe = spec.recipe();
  const int64_t first_micro_batch = plan.FirstMicroBatch(first_step);
  data::LoaderConfig config;
  config.batch_size = plan.batch_size();
  config.last_batch = data::LastBatch::kDrop;
  config.sampler.kind = recipe.sampler() == v1::SAMPLER_KIND_REFERENCE
                            ? data::SamplerKind::kReference
                            : data::SamplerKind::kCounter;
  config.sampler.seed = spec.seed();
  config.transform = Normalization(sets);
  config.transform.crop_padding = recipe.crop_padding();
  config.transform.flip_probability = recipe.horizontal_flip();
  config.transform.erase_probability = recipe.random_erasing();
  config.seed = spec.seed();
  config.first_epoch = plan.EpochOf(first_micro_batch);
  config.first_step = plan.PlaceInEpoch(first_micro_batch);
  config.end_epoch = plan.end_epoch();
  const data::ImageShape shape = images->shape();
  DISTILL_ASSIGN_OR_RETURN(std::unique_ptr<data::BatchLoader> loader,
                           data::BatchLoader::Create(std::move(images), config, clock));
  return std::unique_ptr<BatchSource>(
      new BatchSource(spec, shape, std::move(loader), first_micro_batch));
}

BatchSource::BatchSource(const v1::TaskSpec& spec, const data::ImageShape& shape,
                         std::unique_ptr<data::BatchLoader> loader, int64_t first_micro_batch)
    : recipe_(spec.recipe()),
      seed_(spec.seed()),
      classes_(spec.dataset().classes()),
      shape_(shape),
      loader_(std::move(loader)),
      micro_batch_(first_micro_batch) {}

absl::StatusOr<TrainingBatch> BatchSource::Next() {
  if (!current_.labels.empty()) loader_->Recycle(std::move(current_));
  DISTILL_ASSIGN_OR_RETURN(std::optional<data::Batch> loaded, loader_->Next());
  DISTILL_CHECK(loaded.has_value(), "the loader makes as many batches as the plan has");
  current_ = *std::move(loaded);

  const auto size = static_cast<int64_t>(current_.labels.size());
  const torch::Tensor images = torch::from_blob(
      current_.values.data(), {size, shape_.channels, shape_.height, shape_.width});
  const torch::Tensor labels = torch::from_blob(current_.labels.data(), {size}, torch::kInt64);
  optimization::MixConfig mix;
  mix.mixup_alpha = recipe_.mixup_alpha();
  mix.cutmix_alpha = recipe_.cutmix_alpha();
  mix.probability = recipe_.mix_probability();
  mix.switch_probability = recipe_.cutmix_switch_probability();
  mix.label_smoothing = recipe_.label_smoothing();
  const optimization::MixDraw draw = optimization::DrawMix(
      mix, shape_.height, shape_.width,
      CounterRandom(seed_).Stream("mix").Stream(static_cast<uint64_t>(micro_batch_)));
  ++micro_batch_;
  return TrainingBatch{
      optimization::MixImages(images, draw),
      optimization::MixTargets(labels, classes_, recipe_.label_smoothing(), draw.own_share)};
}

}  // namespace distill::training
