#include "server/planner/defaults.h"

#include <algorithm>

#include "base/corruption_names.h"

namespace distill::server {
namespace {

constexpr int kDefaultModules = 4;
constexpr int kDefaultPatchSize = 7;
constexpr int kDefaultCorruptionImages = 1000;

// Sets optional field `field` of `message` unless it is set.
#define DISTILL_SET_DEFAULT(message, field, value)                \
  do {                                                            \
    if (!(message)->has_##field()) (message)->set_##field(value); \
  } while (false)

void ResolveDepths(int modules, int blocks_per_module, v1::VitSpec* vit) {
  if (!vit->has_depth()) {
    if (vit->stage_depths().empty()) {
      vit->set_depth(std::clamp(modules, 0, 1000) * blocks_per_module);
    } else {
      int64_t sum = 0;
      for (const int depth : vit->stage_depths()) sum += depth;
      vit->set_depth(static_cast<int>(std::clamp<int64_t>(sum, -1, INT32_MAX)));
    }
  }
  const int depth = vit->depth();
  if (vit->stage_depths().empty() && modules > 0 && modules <= 1000 && depth % modules == 0) {
    for (int i = 0; i < modules; ++i) vit->add_stage_depths(depth / modules);
  }
}

void ResolveVit(int modules, int blocks_per_module, int embed_dim, v1::VitSpec* vit) {
  DISTILL_SET_DEFAULT(vit, embed_dim, embed_dim);
  DISTILL_SET_DEFAULT(vit, heads, 4);
  DISTILL_SET_DEFAULT(vit, mlp_ratio, 4.0);
  DISTILL_SET_DEFAULT(vit, qkv_bias, true);
  DISTILL_SET_DEFAULT(vit, layer_norm_epsilon, 1e-6);
  ResolveDepths(modules, blocks_per_module, vit);
}

void ResolveVmoe(int modules, v1::VmoeSpec* vmoe) {
  ResolveVit(modules, /*blocks_per_module=*/1, /*embed_dim=*/48, vmoe->mutable_backbone());
  DISTILL_SET_DEFAULT(vmoe, experts, 4);
  DISTILL_SET_DEFAULT(vmoe, top_k, vmoe->experts() == 1 ? 1 : 2);
  DISTILL_SET_DEFAULT(vmoe, expert_init, v1::EXPERT_INIT_PER_MATRIX);
  DISTILL_SET_DEFAULT(vmoe, keep_stitches, false);
  if (vmoe->moe_blocks().empty()) {
    const int depth = std::clamp(vmoe->backbone().depth(), 0, 128);
    for (int block = 0; block < depth; ++block) vmoe->add_moe_blocks(block);
  }
}

void ResolveStudent(int modules, int meta_width, v1::StudentSpec* student) {
  if (student->architecture_case() == v1::StudentSpec::kVit) {
    ResolveVit(modules, /*blocks_per_module=*/1, meta_width, student->mutable_vit());
  } else {
    ResolveVmoe(modules, student->mutable_vmoe());
  }
}

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
}

}  // namespace

v1::JobSpec ResolveDefaults(const v1::JobSpec& spec) {
  v1::JobSpec resolved = spec;
  DISTILL_SET_DEFAULT(&resolved, project, "default");
  DISTILL_SET_DEFAULT(&resolved, seed, 0);
  DISTILL_SET_DEFAULT(&resolved, modules, kDefaultModules);
  DISTILL_SET_DEFAULT(&resolved, patch_size, kDefaultPatchSize);
  const int modules = resolved.modules();
  ResolveVit(modules, /*blocks_per_module=*/1, /*embed_dim=*/64, resolved.mutable_meta());
  ResolveVit(modules, /*blocks_per_module=*/2, resolved.meta().embed_dim(),
             resolved.mutable_teacher());
  ResolveStudent(modules, resolved.meta().embed_dim(), resolved.mutable_student());
  ResolveRecipe(resolved.mutable_pretrain_meta());
  ResolveRecipe(resolved.mutable_incubate_teacher());
  ResolveRecipe(resolved.mutable_finetune_teacher());
  ResolveRecipe(resolved.mutable_distill_modules());
  ResolveRecipe(resolved.mutable_finetune_student());
  ResolveDistillation(resolved.mutable_distillation());
  ResolveEvaluation(resolved.mutable_evaluation());
  ResolveExecution(resolved.mutable_execution());
  v1::DatasetSpec* dataset = resolved.mutable_dataset();
  DISTILL_SET_DEFAULT(dataset, format, v1::DATASET_FORMAT_IDX);
  DISTILL_SET_DEFAULT(dataset, train_images, 0);
  DISTILL_SET_DEFAULT(dataset, subset_seed, dataset->train_images() == 0 ? 0 : resolved.seed());
  resolved.mutable_given();
  return resolved;
}

v1::JobSpec ResolveDataset(const v1::JobSpec& resolved, const DatasetInfo& info) {
  v1::JobSpec complete = resolved;
  v1::DatasetSpec* dataset = complete.mutable_dataset();
  DISTILL_SET_DEFAULT(dataset, digest, info.digest);
  DISTILL_SET_DEFAULT(dataset, classes, info.classes);
  DISTILL_SET_DEFAULT(dataset, image_size, info.image_size);
  DISTILL_SET_DEFAULT(dataset, channels, info.channels);
  DISTILL_SET_DEFAULT(dataset, train_size, info.train_images);
  int corruption_images = kDefaultCorruptionImages;
  if (info.test_images > 0) corruption_images = std::min(corruption_images, info.test_images);
  DISTILL_SET_DEFAULT(complete.mutable_evaluation(), corruption_images, corruption_images);
  return complete;
}

#undef DISTILL_SET_DEFAULT

}  // namespace distill::server
