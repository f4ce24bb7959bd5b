#include "server/planner/spec_validation.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/corruption_names.h"
#include "server/planner/field_checks.h"

namespace distill::server {
namespace {

constexpr absl::string_view kAction = "accept job";
constexpr int64_t kMostImages = 1'000'000'000'000;
constexpr size_t kLongestDisplayName = 200;
constexpr size_t kLongestPath = 4096;

std::string Path(absl::string_view parent, absl::string_view field) {
  return absl::StrCat(parent, ".", field);
}

void CheckDepths(const v1::VitSpec& vit, int modules, absl::string_view path, FieldChecks& checks) {
  const std::string depth_path = Path(path, "depth");
  checks.InRange(depth_path, int64_t{vit.depth()}, 1, 128);
  if (modules < 1 || modules > 1000) return;  // Reported where `modules` is checked.
  if (vit.depth() < modules) {
    checks.Fail(depth_path, vit.depth(), absl::StrCat("at least one block per module, ", modules),
                "add blocks or lower modules");
    return;
  }
  if (vit.stage_depths().empty()) {
    checks.Fail(depth_path, vit.depth(), absl::StrCat("a multiple of modules, ", modules),
                "or give stage_depths, one number per module");
    return;
  }
  const std::string stages_path = Path(path, "stage_depths");
  if (vit.stage_depths_size() != modules) {
    checks.Fail(stages_path, absl::StrCat(vit.stage_depths_size(), " stages"),
                absl::StrCat(modules, " (modules)"), "give one number per module");
    return;
  }
  int64_t sum = 0;
  for (int i = 0; i < vit.stage_depths_size(); ++i) {
    checks.InRange(absl::StrCat(stages_path, "[", i, "]"), int64_t{vit.stage_depths(i)}, 1, 128);
    sum += vit.stage_depths(i);
  }
  if (sum != vit.depth()) {
    checks.Fail(stages_path, absl::StrCat("sum ", sum), absl::StrCat("depth, ", vit.depth()),
                "leave one of the two out");
  }
}

void CheckVit(const v1::VitSpec& vit, int modules, absl::string_view path, FieldChecks& checks) {
  checks.InRange(Path(path, "embed_dim"), int64_t{vit.embed_dim()}, 8, 4096);
  checks.InRange(Path(path, "heads"), int64_t{vit.heads()}, 1, 64);
  if (vit.heads() >= 1 && vit.embed_dim() % vit.heads() != 0) {
    checks.Fail(Path(path, "embed_dim"), vit.embed_dim(),
                absl::StrCat("a multiple of heads, ", vit.heads()), "change either");
  }
  checks.InRange(Path(path, "mlp_ratio"), vit.mlp_ratio(), 0.5, 8.0);
  const double hidden = vit.mlp_ratio() * vit.embed_dim();
  if (hidden != std::floor(hidden)) {
    checks.Fail(Path(path, "mlp_ratio"), vit.mlp_ratio(),
                "one that makes mlp_ratio * embed_dim whole", "change either");
  }
  checks.AboveUpTo(Path(path, "layer_norm_epsilon"), vit.layer_norm_epsilon(), 0.0, 0.1);
  CheckDepths(vit, modules, path, checks);
}

void CheckVmoe(const v1::VmoeSpec& vmoe, int modules, FieldChecks& checks) {
  CheckVit(vmoe.backbone(), modules, "student.vmoe.backbone", checks);
  checks.InRange("student.vmoe.experts", int64_t{vmoe.experts()}, 1, 256);
  if (vmoe.top_k() < 1 || vmoe.top_k() > vmoe.experts()) {
    checks.Fail("student.vmoe.top_k", vmoe.top_k(), absl::StrCat("1 to experts, ", vmoe.experts()),
                "lower top_k or raise experts");
  }
  int previous = -1;
  for (int i = 0; i < vmoe.moe_blocks_size(); ++i) {
    const int block = vmoe.moe_blocks(i);
    const std::string path = absl::StrCat("student.vmoe.moe_blocks[", i, "]");
    checks.InRange(path, int64_t{block}, 0, int64_t{vmoe.backbone().depth()} - 1,
                   "blocks are counted over the whole student from 0");
    if (block <= previous) {
      checks.Fail(path, block, absl::StrCat("above ", previous), "list each block once, ascending");
    }
    previous = std::max(previous, block);
  }
  if (!v1::ExpertInit_IsValid(vmoe.expert_init()) ||
      vmoe.expert_init() == v1::EXPERT_INIT_UNSPECIFIED) {
    checks.Fail("student.vmoe.expert_init", static_cast<int>(vmoe.expert_init()),
                "EXPERT_INIT_PER_MATRIX or EXPERT_INIT_REFERENCE");
  }
}

void CheckSchedule(const v1::TrainingRecipe& recipe, absl::string_view path, FieldChecks& checks) {
  checks.InRange(Path(path, "epochs"), recipe.epochs(), 0.0, 10000.0);
  checks.InRange(Path(path, "learning_rate"), recipe.learning_rate(), 0.0, 100.0);
  checks.InRange(Path(path, "learning_rate_reference_batch"),
                 int64_t{recipe.learning_rate_reference_batch()}, 0, 1 << 20);
  checks.InRange(Path(path, "warmup_learning_rate"), recipe.warmup_learning_rate(), 0.0, 100.0);
  checks.InRange(Path(path, "min_learning_rate"), recipe.min_learning_rate(), 0.0, 100.0);
  const double longest_warmup = recipe.total_images() > 0 ? 10000.0 : recipe.epochs();
  checks.InRange(Path(path, "warmup_epochs"), recipe.warmup_epochs(), 0.0, longest_warmup,
                 "the warm-up is part of the epochs");
  if (!v1::ScheduleUnit_IsValid(recipe.schedule_unit()) ||
      recipe.schedule_unit() == v1::SCHEDULE_UNIT_UNSPECIFIED) {
    checks.Fail(Path(path, "schedule_unit"), static_cast<int>(recipe.schedule_unit()),
                "SCHEDULE_UNIT_STEP or SCHEDULE_UNIT_EPOCH");
  }
  checks.InRange(Path(path, "total_images"), int64_t{recipe.total_images()}, 0, kMostImages);
}

void CheckOptimiser(const v1::TrainingRecipe& recipe, absl::string_view path, FieldChecks& checks) {
  checks.InRange(Path(path, "batch_size"), int64_t{recipe.batch_size()}, 1, 65536);
  checks.InRange(Path(path, "accumulate_steps"), int64_t{recipe.accumulate_steps()}, 1, 1024);
  checks.InRange(Path(path, "weight_decay"), recipe.weight_decay(), 0.0, 1.0);
  checks.FromBelow(Path(path, "beta1"), recipe.beta1(), 0.0, 1.0);
  checks.FromBelow(Path(path, "beta2"), recipe.beta2(), 0.0, 1.0);
  checks.AboveUpTo(Path(path, "epsilon"), recipe.epsilon(), 0.0, 1.0);
  checks.InRange(Path(path, "clip_grad_norm"), recipe.clip_grad_norm(), 0.0, 1e6);
}

void CheckRegularisation(const v1::TrainingRecipe& recipe, absl::string_view path,
                         FieldChecks& checks) {
  checks.InRange(Path(path, "drop_path"), recipe.drop_path(), 0.0, 0.9);
  checks.InRange(Path(path, "label_smoothing"), recipe.label_smoothing(), 0.0, 0.9);
  checks.InRange(Path(path, "mixup_alpha"), recipe.mixup_alpha(), 0.0, 100.0);
  checks.InRange(Path(path, "cutmix_alpha"), recipe.cutmix_alpha(), 0.0, 100.0);
  checks.InRange(Path(path, "mix_probability"), recipe.mix_probability(), 0.0, 1.0);
  checks.InRange(Path(path, "cutmix_switch_probability"), recipe.cutmix_switch_probability(), 0.0,
                 1.0);
  checks.InRange(Path(path, "crop_padding"), int64_t{recipe.crop_padding()}, 0, 64);
  checks.InRange(Path(path, "horizontal_flip"), recipe.horizontal_flip(), 0.0, 1.0);
  checks.InRange(Path(path, "random_erasing"), recipe.random_erasing(), 0.0, 1.0);
  if (!v1::SamplerKind_IsValid(recipe.sampler()) ||
      recipe.sampler() == v1::SAMPLER_KIND_UNSPECIFIED) {
    checks.Fail(Path(path, "sampler"), static_cast<int>(recipe.sampler()),
                "SAMPLER_KIND_COUNTER or SAMPLER_KIND_REFERENCE");
  }
}

void CheckRecipe(const v1::TrainingRecipe& recipe, absl::string_view path, FieldChecks& checks) {
  CheckSchedule(recipe, path, checks);
  CheckOptimiser(recipe, path, checks);
  CheckRegularisation(recipe, path, checks);
}

void CheckDistillation(const v1::DistillationSpec& distillation, FieldChecks& checks) {
  if (!v1::KdKind_IsValid(distillation.kind()) || distillation.kind() == v1::KD_KIND_UNSPECIFIED) {
    checks.Fail("distillation.kind", static_cast<int>(distillation.kind()),
                "KD_KIND_SOFT or KD_KIND_HARD");
  }
  checks.InRange("distillation.alpha", distillation.alpha(), 0.0, 1.0);
  checks.InRange("distillation.tau", distillation.tau(), 0.1, 100.0);
  if (!v1::KdDivisor_IsValid(distillation.divisor()) ||
      distillation.divisor() == v1::KD_DIVISOR_UNSPECIFIED) {
    checks.Fail("distillation.divisor", static_cast<int>(distillation.divisor()),
                "KD_DIVISOR_BATCH_MEAN or KD_DIVISOR_NUMEL");
  }
}

void CheckEvaluation(const v1::EvaluationSpec& evaluation, FieldChecks& checks) {
  std::set<std::string> seen;
  for (int i = 0; i < evaluation.corruptions_size(); ++i) {
    const std::string& name = evaluation.corruptions(i);
    const std::string path = absl::StrCat("evaluation.corruptions[", i, "]");
    const bool none = name == kNoCorruptions && evaluation.corruptions_size() == 1;
    if (!none && std::find(kCorruptionNames.begin(), kCorruptionNames.end(), name) ==
                     kCorruptionNames.end()) {
      checks.Fail(path, absl::StrCat("\"", name, "\""),
                  absl::StrCat("one of ", absl::StrJoin(kCorruptionNames, ", ")),
                  "or the one entry \"none\"");
    }
    if (!seen.insert(name).second) {
      checks.Fail(path, absl::StrCat("\"", name, "\" again"), "each corruption once");
    }
  }
  std::set<int> severities;
  for (int i = 0; i < evaluation.severities_size(); ++i) {
    const std::string path = absl::StrCat("evaluation.severities[", i, "]");
    checks.InRange(path, int64_t{evaluation.severities(i)}, 1, kMostSevereCorruption);
    if (!severities.insert(evaluation.severities(i)).second) {
      checks.Fail(path, absl::StrCat(evaluation.severities(i), " again"), "each severity once");
    }
  }
  if (evaluation.has_corruption_images()) {
    checks.InRange("evaluation.corruption_images", int64_t{evaluation.corruption_images()}, 0,
                   1'000'000'000);
  }
  checks.InRange("evaluation.batch_size", int64_t{evaluation.batch_size()}, 1, 65536);
}

void CheckExecution(const v1::ExecutionSpec& execution, FieldChecks& checks) {
  if (execution.has_numeric_class()) {
    checks.IsIdText("execution.numeric_class", execution.numeric_class());
  }
  checks.InRange("execution.max_user_failures", int64_t{execution.max_user_failures()}, 1, 100);
  checks.InRange("execution.max_infrastructure_failures",
                 int64_t{execution.max_infrastructure_failures()}, 1, 10000);
  checks.InRange("execution.max_bundle", int64_t{execution.max_bundle()}, 1, 64);
  checks.InRange("execution.checkpoint_interval_seconds", execution.checkpoint_interval_seconds(),
                 0.0, 86400.0);
}

void CheckGiven(const v1::GivenArtifacts& given, int modules, FieldChecks& checks) {
  if (given.has_meta()) checks.IsDigest("given.meta", given.meta());
  if (given.has_teacher()) checks.IsDigest("given.teacher", given.teacher());
  if (given.has_teacher() && !given.teacher_stages().empty()) {
    checks.Fail("given.teacher_stages", "given.teacher as well", "one of the two",
                "leave one out: stages are what the whole teacher is split into");
  }
  if (!given.teacher_stages().empty() && given.teacher_stages_size() != modules) {
    checks.Fail("given.teacher_stages", absl::StrCat(given.teacher_stages_size(), " stages"),
                absl::StrCat(modules, " (modules)"), "give one digest per module, in order");
  }
  for (int i = 0; i < given.teacher_stages_size(); ++i) {
    checks.IsDigest(absl::StrCat("given.teacher_stages[", i, "]"), given.teacher_stages(i));
  }
}

void CheckDatasetSpec(const v1::DatasetSpec& dataset, FieldChecks& checks) {
  if (dataset.path().empty()) {
    checks.Fail("dataset.path", "nothing", "an absolute folder",
                "Debian's dataset-fashion-mnist is in /usr/share/datasets/fashion-mnist");
  } else if (dataset.path()[0] != '/' || dataset.path().size() > kLongestPath ||
             dataset.path().find_first_of(absl::string_view("\0\n\r", 3).data(), 0, 3) !=
                 std::string::npos) {
    checks.Fail("dataset.path", absl::StrCat("\"", dataset.path().substr(0, 80), "\""),
                "an absolute path without control characters",
                "every worker must find the data set under the same path");
  }
  if (dataset.format() != v1::DATASET_FORMAT_IDX) {
    checks.Fail("dataset.format", static_cast<int>(dataset.format()), "DATASET_FORMAT_IDX");
  }
  if (dataset.has_classes()) {
    checks.InRange("dataset.classes", int64_t{dataset.classes()}, 2, 100000);
  }
  checks.InRange("dataset.train_images", int64_t{dataset.train_images()}, 0, 1'000'000'000);
  if (dataset.has_digest()) checks.IsDigest("dataset.digest", dataset.digest());
  if (dataset.has_image_size()) {
    checks.InRange("dataset.image_size", int64_t{dataset.image_size()}, 1, 4096);
  }
  if (dataset.has_channels()) {
    checks.InRange("dataset.channels", int64_t{dataset.channels()}, 1, 16);
  }
  if (dataset.has_train_size()) {
    checks.InRange("dataset.train_size", int64_t{dataset.train_size()}, 1, 1'000'000'000);
  }
}

void CheckBaselines(const v1::JobSpec& spec, FieldChecks& checks) {
  std::set<int> seen;
  for (int i = 0; i < spec.baselines_size(); ++i) {
    const std::string path = absl::StrCat("baselines[", i, "]");
    const int kind = spec.baselines(i);
    if (!v1::BaselineKind_IsValid(kind) || kind == v1::BASELINE_KIND_UNSPECIFIED) {
      checks.Fail(path, kind, "a known baseline kind");
    } else if (!seen.insert(kind).second) {
      checks.Fail(path, absl::StrCat(v1::BaselineKind_Name(kind), " again"), "each baseline once");
    }
  }
}

void CheckNames(const v1::JobSpec& spec, FieldChecks& checks) {
  if (spec.display_name().size() > kLongestDisplayName) {
    checks.Fail("display_name", absl::StrCat(spec.display_name().size(), " bytes"),
                absl::StrCat("at most ", kLongestDisplayName));
  }
  const bool has_control = std::any_of(spec.display_name().begin(), spec.display_name().end(),
                                       [](char c) { return static_cast<unsigned char>(c) < 32; });
  if (has_control) checks.Fail("display_name", "control characters", "printable text");
  checks.IsIdText("project", spec.project());
}

struct NamedRecipe {
  absl::string_view path;
  const v1::TrainingRecipe* recipe;
};

std::vector<NamedRecipe> Recipes(const v1::JobSpec& spec) {
  return {{"pretrain_meta", &spec.pretrain_meta()},
          {"incubate_teacher", &spec.incubate_teacher()},
          {"finetune_teacher", &spec.finetune_teacher()},
          {"distill_modules", &spec.distill_modules()},
          {"finetune_student", &spec.finetune_student()}};
}

}  // namespace

absl::Status ValidateJobSpec(const v1::JobSpec& resolved) {
  FieldChecks checks;
  CheckNames(resolved, checks);
  CheckDatasetSpec(resolved.dataset(), checks);
  const int modules = resolved.modules();
  checks.InRange("modules", int64_t{modules}, 1, 1000);
  checks.InRange("patch_size", int64_t{resolved.patch_size()}, 1, 4096);
  CheckVit(resolved.meta(), modules, "meta", checks);
  CheckVit(resolved.teacher(), modules, "teacher", checks);
  if (resolved.teacher().embed_dim() != resolved.meta().embed_dim()) {
    checks.Fail("teacher.embed_dim", resolved.teacher().embed_dim(),
                absl::StrCat("meta.embed_dim, ", resolved.meta().embed_dim()),
                "teacher stages are trained inside the meta model, so widths must agree");
  }
  if (resolved.student().architecture_case() == v1::StudentSpec::kVit) {
    CheckVit(resolved.student().vit(), modules, "student.vit", checks);
    if (resolved.student().vit().embed_dim() != resolved.meta().embed_dim()) {
      checks.Fail("student.vit.embed_dim", resolved.student().vit().embed_dim(),
                  absl::StrCat("meta.embed_dim, ", resolved.meta().embed_dim()),
                  "a ViT student has no stitches that translate between widths");
    }
  } else {
    CheckVmoe(resolved.student().vmoe(), modules, checks);
  }
  for (const NamedRecipe& named : Recipes(resolved)) {
    CheckRecipe(*named.recipe, named.path, checks);
  }
  CheckDistillation(resolved.distillation(), checks);
  CheckEvaluation(resolved.evaluation(), checks);
  CheckBaselines(resolved, checks);
  CheckExecution(resolved.execution(), checks);
  CheckGiven(resolved.given(), modules, checks);
  return checks.ToStatus(kAction);
}

absl::Status ValidateDataset(const v1::JobSpec& complete, const DatasetInfo& info) {
  FieldChecks checks;
  const v1::DatasetSpec& dataset = complete.dataset();
  const auto must_equal = [&](absl::string_view path, int64_t got, int64_t want) {
    if (got != want) checks.Fail(path, got, want, "leave it out: the files say it");
  };
  must_equal("dataset.image_size", dataset.image_size(), info.image_size);
  must_equal("dataset.channels", dataset.channels(), info.channels);
  must_equal("dataset.classes", dataset.classes(), info.classes);
  must_equal("dataset.train_size", dataset.train_size(), info.train_images);
  if (dataset.digest() != info.digest) {
    checks.Fail("dataset.digest", dataset.digest(), info.digest,
                "the files under dataset.path hold something else");
  }
  if (complete.patch_size() >= 1 && dataset.image_size() % complete.patch_size() != 0) {
    checks.Fail("patch_size", complete.patch_size(),
                absl::StrCat("a divisor of the image size, ", dataset.image_size()));
  }
  if (dataset.classes() >= 1 && dataset.train_images() % dataset.classes() != 0) {
    checks.Fail("dataset.train_images", dataset.train_images(),
                absl::StrCat("a multiple of classes, ", dataset.classes()),
                "each class gets the same number of images");
  }
  if (dataset.train_images() > info.train_images) {
    checks.Fail("dataset.train_images", dataset.train_images(),
                absl::StrCat("at most the data set's ", info.train_images));
  } else if (info.smallest_class > 0 && info.classes > 0 &&
             dataset.train_images() / info.classes > info.smallest_class) {
    checks.Fail(
        "dataset.train_images", dataset.train_images(),
        absl::StrCat("at most ", info.classes, " times the rarest class, ", info.smallest_class));
  }
  const int train_images = dataset.train_images() > 0 ? dataset.train_images() : info.train_images;
  for (const NamedRecipe& named : Recipes(complete)) {
    if (named.recipe->batch_size() > train_images) {
      checks.Fail(Path(named.path, "batch_size"), named.recipe->batch_size(),
                  absl::StrCat("at most the training images, ", train_images));
    }
  }
  if (info.test_images > 0 && complete.evaluation().corruption_images() > info.test_images) {
    checks.Fail("evaluation.corruption_images", complete.evaluation().corruption_images(),
                absl::StrCat("at most the test images, ", info.test_images), "0 means all");
  }
  return checks.ToStatus(kAction);
}

}  // namespace distill::server
