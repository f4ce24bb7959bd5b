#include "server/planner/defaults.h"

#include <algorithm>
#include <array>

#include "base/corruption_names.h"
#include "server/planner/network_defaults.h"
#include "server/planner/presets.h"
#include "server/planner/recipes.h"
#include "server/planner/set_default.h"

namespace distill::server {
namespace {

constexpr int kDefaultModules = 4;
constexpr int kDefaultPatchSize = 7;
constexpr int kDefaultCorruptionImages = 1000;

constexpr int kMostShotsTripled = 1'000'000;  // Beyond any that is accepted.
constexpr int kDefaultInputSize = 224;
// ImageNet's, of values in [0, 1].
constexpr std::array<double, 3> kImageNetMean = {0.485, 0.456, 0.406};
constexpr std::array<double, 3> kImageNetDeviation = {0.229, 0.224, 0.225};

void ResolveRecipe(v1::TrainingRecipe* recipe) {
  DISTILL_SET_DEFAULT(recipe, epochs, 1.0);
  DISTILL_SET_DEFAULT(recipe, batch_size, 64);
  DISTILL_SET_DEFAULT(recipe, accumulate_steps, 1);
  DISTILL_SET_DEFAULT(recipe, learning_rate, 1e-3);
  DISTILL_SET_DEFAULT(recipe, learning_rate_reference_batch, 0);
  DISTILL_SET_DEFAULT(recipe, warmup_learning_rate, 1e-6);
  DISTILL_SET_DEFAULT(recipe, min_learning_rate, 1e-5);
  DISTILL_SET_DEFAULT(recipe, warmup_epochs, 0.0);
  DISTILL_SET_DEFAULT(recipe, schedule_unit, v1::SCHEDULE_UNIT_STEP);
  DISTILL_SET_DEFAULT(recipe, weight_decay, 0.05);
  DISTILL_SET_DEFAULT(recipe, beta1, 0.9);
  DISTILL_SET_DEFAULT(recipe, beta2, 0.999);
  DISTILL_SET_DEFAULT(recipe, epsilon, 1e-8);
  DISTILL_SET_DEFAULT(recipe, clip_grad_norm, 0.0);
  DISTILL_SET_DEFAULT(recipe, drop_path, 0.0);
  DISTILL_SET_DEFAULT(recipe, label_smoothing, 0.0);
  DISTILL_SET_DEFAULT(recipe, mixup_alpha, 0.0);
  DISTILL_SET_DEFAULT(recipe, cutmix_alpha, 0.0);
  DISTILL_SET_DEFAULT(recipe, mix_probability, 1.0);
  DISTILL_SET_DEFAULT(recipe, cutmix_switch_probability, 0.5);
  DISTILL_SET_DEFAULT(recipe, crop_padding, 0);
  DISTILL_SET_DEFAULT(recipe, horizontal_flip, 0.0);
  DISTILL_SET_DEFAULT(recipe, random_erasing, 0.0);
  DISTILL_SET_DEFAULT(recipe, sampler, v1::SAMPLER_KIND_COUNTER);
  DISTILL_SET_DEFAULT(recipe, total_images, 0);
  DISTILL_SET_DEFAULT(recipe, optimizer, v1::OPTIMIZER_KIND_ADAMW);
  DISTILL_SET_DEFAULT(recipe, momentum, 0.9);
  DISTILL_SET_DEFAULT(recipe, decay_all_parameters, false);
  DISTILL_SET_DEFAULT(recipe, precision, v1::PRECISION_FLOAT32);
  DISTILL_SET_DEFAULT(recipe, ema_decay, 0.0);
  DISTILL_SET_DEFAULT(recipe, repeated_augmentation, 1);
  DISTILL_SET_DEFAULT(recipe, random_resized_crop, 0.0);
  DISTILL_SET_DEFAULT(recipe, rand_augment_operations, 0);
  DISTILL_SET_DEFAULT(recipe, rand_augment_magnitude, 9.0);
  DISTILL_SET_DEFAULT(recipe, rand_augment_magnitude_std, 0.5);
  DISTILL_SET_DEFAULT(recipe, color_jitter, 0.0);
}

void ResolveDistillation(v1::DistillationSpec* distillation) {
  DISTILL_SET_DEFAULT(distillation, kind, v1::KD_KIND_SOFT);
  DISTILL_SET_DEFAULT(distillation, alpha, 0.5);
  DISTILL_SET_DEFAULT(distillation, tau, 1.0);
  DISTILL_SET_DEFAULT(distillation, divisor, v1::KD_DIVISOR_BATCH_MEAN);
}

void ResolveEvaluation(v1::EvaluationSpec* evaluation) {
  if (evaluation->corruptions().empty()) {
    for (const absl::string_view name : kDefaultCorruptionNames) {
      evaluation->add_corruptions(std::string(name));
    }
  }
  if (evaluation->severities().empty()) {
    for (int severity = 1; severity <= kMostSevereCorruption; ++severity) {
      evaluation->add_severities(severity);
    }
  }
  // corruption_images waits for the size of the test set: ResolveDataset.
  DISTILL_SET_DEFAULT(evaluation, seed, 0);
  DISTILL_SET_DEFAULT(evaluation, batch_size, 250);
}

void ResolveExecution(v1::ExecutionSpec* execution) {
  DISTILL_SET_DEFAULT(execution, max_user_failures, 3);
  DISTILL_SET_DEFAULT(execution, max_infrastructure_failures, 20);
  DISTILL_SET_DEFAULT(execution, max_bundle, 16);
  DISTILL_SET_DEFAULT(execution, checkpoint_interval_seconds, 0.0);
  DISTILL_SET_DEFAULT(execution, priority, 5);
}

void ResolveDatasetSpec(uint64_t seed, v1::DatasetSpec* dataset) {
  DISTILL_SET_DEFAULT(dataset, format, v1::DATASET_FORMAT_IDX);
  DISTILL_SET_DEFAULT(dataset, train_images, 0);
  DISTILL_SET_DEFAULT(dataset, subset_seed, dataset->train_images() == 0 ? 0 : seed);
  DISTILL_SET_DEFAULT(dataset, corrupt_images, v1::CORRUPT_IMAGE_POLICY_FAIL);
}

void ResolveFewShot(uint64_t seed, const v1::StudentSpec& student, v1::FewShotSpec* few_shot) {
  ResolveDatasetSpec(seed, few_shot->mutable_dataset());
  DISTILL_SET_DEFAULT(few_shot, ways, 8);
  DISTILL_SET_DEFAULT(few_shot, shots, 5);
  DISTILL_SET_DEFAULT(few_shot, test_images,
                      3 * std::clamp(few_shot->shots(), 0, kMostShotsTripled));
  DISTILL_SET_DEFAULT(few_shot, seed, seed);
  v1::TrainingRecipe* recipe = few_shot->mutable_recipe();
  // One step an epoch: the whole episode is a batch.
  DISTILL_SET_DEFAULT(recipe, epochs, 100.0);
  DISTILL_SET_DEFAULT(recipe, learning_rate, 2e-3);
  const int64_t episode = int64_t{few_shot->ways()} * few_shot->shots();
  DISTILL_SET_DEFAULT(recipe, batch_size,
                      static_cast<int>(std::clamp<int64_t>(episode, 0, INT32_MAX)));
  ResolveRecipe(recipe);
  const bool can_cache = SeesImagesUnchanged(*recipe) && !student.nac().stochastic_evaluation();
  DISTILL_SET_DEFAULT(few_shot, features,
                      can_cache ? v1::FEW_SHOT_FEATURES_CACHED : v1::FEW_SHOT_FEATURES_LIVE);
}

void ResolveQualityGate(v1::QualityGateSpec* gate) {
  DISTILL_SET_DEFAULT(gate, largest_accuracy_gap, 1.0);
  DISTILL_SET_DEFAULT(gate, candidates, 1);
  DISTILL_SET_DEFAULT(gate, best_of_all, false);
}

void DescribeDataset(const DatasetInfo& info, v1::DatasetSpec* dataset) {
  DISTILL_SET_DEFAULT(dataset, digest, info.digest);
  DISTILL_SET_DEFAULT(dataset, classes, info.classes);
  if (info.image_size > 0) DISTILL_SET_DEFAULT(dataset, image_size, info.image_size);
  DISTILL_SET_DEFAULT(dataset, channels, info.channels);
  DISTILL_SET_DEFAULT(dataset, train_size, info.train_images);
}

// What the files say is what a trainer would compute from them, to the last bit. It need not, then.
void ResolveNormalisation(const DatasetInfo& info, v1::DatasetSpec* dataset) {
  if (!dataset->mean().empty() || !dataset->deviation().empty()) return;
  const bool varies = !dataset->has_image_size();
  if (varies && dataset->channels() == static_cast<int>(kImageNetMean.size())) {
    dataset->mutable_mean()->Add(kImageNetMean.begin(), kImageNetMean.end());
    dataset->mutable_deviation()->Add(kImageNetDeviation.begin(), kImageNetDeviation.end());
    return;
  }
  dataset->mutable_mean()->Add(info.mean.begin(), info.mean.end());
  dataset->mutable_deviation()->Add(info.deviation.begin(), info.deviation.end());
}

// The class of the model for each class of another set, where names tell or both have none and are
// equally many. Leaves `classes` empty when a class has no counterpart.
void MatchClasses(const DatasetInfo& model, const DatasetInfo& other,
                  v1::OutOfDistributionSet* set) {
  if (!set->classes().empty()) return;
  std::vector<int> classes;
  if (model.class_names.empty() && other.class_names.empty() && model.classes == other.classes) {
    for (int label = 0; label < model.classes; ++label) classes.push_back(label);
  }
  for (const std::string& name : other.class_names) {
    const auto found = std::find(model.class_names.begin(), model.class_names.end(), name);
    if (found == model.class_names.end()) return;
    classes.push_back(static_cast<int>(found - model.class_names.begin()));
  }
  for (const int label : classes) set->add_classes(label);
}

}  // namespace

v1::JobSpec ResolveDefaults(const v1::JobSpec& spec) {
  v1::JobSpec resolved = ExpandPreset(spec);
  DISTILL_SET_DEFAULT(&resolved, project, "default");
  DISTILL_SET_DEFAULT(&resolved, seed, 0);
  DISTILL_SET_DEFAULT(&resolved, modules, kDefaultModules);
  DISTILL_SET_DEFAULT(&resolved, patch_size, kDefaultPatchSize);
  const int modules = resolved.modules();
  const uint64_t seed = resolved.seed();
  ResolveVit(modules, {/*blocks_per_module=*/1, /*embed_dim=*/64}, *resolved.mutable_meta());
  const int width = resolved.meta().embed_dim();
  ResolveVit(modules, {/*blocks_per_module=*/2, width}, *resolved.mutable_teacher());
  ResolveStudent(modules, width, seed, *resolved.mutable_student());
  ResolveRecipe(resolved.mutable_pretrain_meta());
  ResolveRecipe(resolved.mutable_incubate_teacher());
  ResolveRecipe(resolved.mutable_finetune_teacher());
  ResolveRecipe(resolved.mutable_distill_modules());
  ResolveRecipe(resolved.mutable_finetune_student());
  ResolveDistillation(resolved.mutable_distillation());
  ResolveEvaluation(resolved.mutable_evaluation());
  for (v1::OutOfDistributionSet& set :
       *resolved.mutable_evaluation()->mutable_out_of_distribution()) {
    ResolveDatasetSpec(seed, set.mutable_dataset());
  }
  for (v1::FewShotSpec& few_shot : *resolved.mutable_few_shot()) {
    ResolveFewShot(seed, resolved.student(), &few_shot);
  }
  ResolveQualityGate(resolved.mutable_quality_gate());
  ResolveExecution(resolved.mutable_execution());
  ResolveDatasetSpec(seed, resolved.mutable_dataset());
  resolved.mutable_given();
  return resolved;
}

v1::JobSpec ResolveDatasets(const v1::JobSpec& resolved, const JobDatasets& infos) {
  v1::JobSpec complete = resolved;
  v1::DatasetSpec* dataset = complete.mutable_dataset();
  DescribeDataset(infos.main, dataset);
  DISTILL_SET_DEFAULT(dataset, input_size,
                      dataset->has_image_size() ? dataset->image_size() : kDefaultInputSize);
  ResolveNormalisation(infos.main, dataset);
  v1::EvaluationSpec* evaluation = complete.mutable_evaluation();
  int corruption_images = kDefaultCorruptionImages;
  if (infos.main.test_images > 0) {
    corruption_images = std::min(corruption_images, infos.main.test_images);
  }
  DISTILL_SET_DEFAULT(evaluation, corruption_images, corruption_images);
  // Whatever else the model sees, it sees at its own size.
  const auto describe = [dataset](const DatasetInfo& info, v1::DatasetSpec* other) {
    DescribeDataset(info, other);
    DISTILL_SET_DEFAULT(other, input_size, dataset->input_size());
  };
  for (int i = 0; i < evaluation->out_of_distribution_size(); ++i) {
    const DatasetInfo& info = infos.out_of_distribution.at(static_cast<size_t>(i));
    v1::OutOfDistributionSet* set = evaluation->mutable_out_of_distribution(i);
    describe(info, set->mutable_dataset());
    MatchClasses(infos.main, info, set);
  }
  for (int i = 0; i < complete.few_shot_size(); ++i) {
    describe(infos.few_shot.at(static_cast<size_t>(i)),
             complete.mutable_few_shot(i)->mutable_dataset());
  }
  return complete;
}

}  // namespace distill::server
