#include "worker/training/batch_source.h"

#include <optional>
#include <utility>

#include "base/check.h"
#include "base/counter_random.h"
#include "base/status_macros.h"
#include "worker/optimization/mix.h"

namespace distill::training {

namespace {

void SetAugmentation(const v1::TrainingRecipe& recipe, data::TransformConfig* transform) {
  transform->random_resized_crop = recipe.random_resized_crop();
  transform->rand_augment.operations = recipe.rand_augment_operations();
  if (recipe.has_rand_augment_magnitude()) {
    transform->rand_augment.magnitude = recipe.rand_augment_magnitude();
  }
  if (recipe.has_rand_augment_magnitude_std()) {
    transform->rand_augment.magnitude_deviation = recipe.rand_augment_magnitude_std();
  }
  transform->color_jitter = recipe.color_jitter();
  transform->crop_padding = recipe.crop_padding();
  transform->flip_probability = recipe.horizontal_flip();
  transform->erase_probability = recipe.random_erasing();
}

bool Mixes(const v1::TrainingRecipe& recipe) {
  return recipe.mixup_alpha() > 0 || recipe.cutmix_alpha() > 0;
}

// The rows of a rank: its own, and those that mirror them if images are mixed.
std::vector<data::RowRange> RowsOf(const v1::TrainingRecipe& recipe, int64_t batch_size,
                                   const GangPlace& place) {
  if (place.is_alone()) return {};
  std::vector<data::RowRange> rows = {{place.FirstRow(batch_size), place.Rows(batch_size)}};
  const GangPlace opposite = place.Opposite();
  if (Mixes(recipe) && opposite.rank != place.rank) {
    rows.push_back({opposite.FirstRow(batch_size), opposite.Rows(batch_size)});
  }
  return rows;
}

}  // namespace

data::SamplerConfig SamplerOf(const v1::TaskSpec& spec) {
  const v1::TrainingRecipe& recipe = spec.recipe();
  data::SamplerConfig sampler;
  sampler.kind = recipe.sampler() == v1::SAMPLER_KIND_REFERENCE ? data::SamplerKind::kReference
                                                                : data::SamplerKind::kCounter;
  sampler.seed = spec.seed();
  if (recipe.has_repeated_augmentation()) sampler.repeats = recipe.repeated_augmentation();
  return sampler;
}

absl::StatusOr<std::unique_ptr<ImageBatches>> ImageBatches::Create(
    const v1::TaskSpec& spec, const TaskImages& images, const TrainingPlan& plan,
    int64_t first_step, const GangPlace& place, const Clock& clock) {
  const int64_t first_micro_batch = plan.FirstMicroBatch(first_step);
  data::LoaderConfig config;
  config.batch_size = plan.batch_size();
  config.last_batch = data::LastBatch::kDrop;
  config.rows = RowsOf(spec.recipe(), plan.batch_size(), place);
  config.sampler = SamplerOf(spec);
  config.transform = images.transform;
  SetAugmentation(spec.recipe(), &config.transform);
  config.corrupt_images = images.corrupt_images;
  config.seed = spec.seed();
  config.first_epoch = plan.EpochOf(first_micro_batch);
  config.first_step = plan.PlaceInEpoch(first_micro_batch);
  config.end_epoch = plan.end_epoch();
  DISTILL_ASSIGN_OR_RETURN(std::unique_ptr<data::BatchLoader> loader,
                           data::BatchLoader::Create(images.train, config, clock));
  return std::unique_ptr<ImageBatches>(new ImageBatches(
      spec, images.classes, place.Rows(plan.batch_size()), std::move(loader), first_micro_batch));
}

ImageBatches::ImageBatches(const v1::TaskSpec& spec, int64_t classes, int64_t rows,
                           std::unique_ptr<data::BatchLoader> loader, int64_t first_micro_batch)
    : recipe_(spec.recipe()),
      seed_(spec.seed()),
      classes_(classes),
      rows_(rows),
      loader_(std::move(loader)),
      micro_batch_(first_micro_batch) {}

absl::StatusOr<TrainingBatch> ImageBatches::Next() {
  if (!current_.labels.empty()) loader_->Recycle(std::move(current_));
  DISTILL_ASSIGN_OR_RETURN(std::optional<data::Batch> loaded, loader_->Next());
  DISTILL_CHECK(loaded.has_value(), "the loader makes as many batches as the plan has");
  current_ = *std::move(loaded);

  const auto size = static_cast<int64_t>(current_.labels.size());
  const data::ImageShape& shape = loader_->shape();
  const torch::Tensor images =
      torch::from_blob(current_.values.data(), {size, shape.channels, shape.height, shape.width});
  const torch::Tensor labels = torch::from_blob(current_.labels.data(), {size}, torch::kInt64);
  // Rows are mixed with themselves mirrored, unless those that mirror them follow.
  const int64_t opposite = size - rows_;
  optimization::MixConfig mix;
  mix.mixup_alpha = recipe_.mixup_alpha();
  mix.cutmix_alpha = recipe_.cutmix_alpha();
  mix.probability = recipe_.mix_probability();
  mix.switch_probability = recipe_.cutmix_switch_probability();
  mix.label_smoothing = recipe_.label_smoothing();
  const optimization::MixDraw draw = optimization::DrawMix(
      mix, shape.height, shape.width,
      CounterRandom(seed_).Stream("mix").Stream(static_cast<uint64_t>(micro_batch_)));
  ++micro_batch_;
  return TrainingBatch{
      optimization::MixImagesWith(images.narrow(0, 0, rows_), images.narrow(0, opposite, rows_),
                                  draw),
      optimization::MixTargetsWith(labels.narrow(0, 0, rows_), labels.narrow(0, opposite, rows_),
                                   classes_, recipe_.label_smoothing(), draw.own_share)};
}

}  // namespace distill::training
