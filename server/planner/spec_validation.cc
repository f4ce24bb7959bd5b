#include "server/planner/spec_validation.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/corruption_names.h"
#include "base/ids.h"
#include "server/planner/enum_checks.h"
#include "server/planner/field_checks.h"
#include "server/planner/limits.h"
#include "server/planner/network_validation.h"
#include "server/planner/presets.h"
#include "server/planner/recipes.h"

namespace distill::server {
namespace {

constexpr absl::string_view kAction = "accept job";
constexpr int64_t kMostImages = 1'000'000'000'000;
constexpr size_t kLongestDisplayName = 200;
constexpr size_t kLongestPath = 4096;
constexpr size_t kLongestLabel = 40;
constexpr int kMostWorkerLabels = 16;
constexpr int kMostRanks = 64;
constexpr size_t kLongestWorkerLabel = 256;
constexpr size_t kLongestVersion = 64;

std::string Path(absl::string_view parent, absl::string_view field) {
  return absl::StrCat(parent, ".", field);
}

// "535.104.05".
bool IsVersion(absl::string_view text) {
  if (text.size() > kLongestVersion) return false;
  for (const absl::string_view part : absl::StrSplit(text, '.')) {
    if (part.empty() || !std::all_of(part.begin(), part.end(), absl::ascii_isdigit)) return false;
  }
  return true;
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
  CheckEnum(Path(path, "schedule_unit"), recipe.schedule_unit(), v1::ScheduleUnit_descriptor(),
            checks);
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
  CheckEnum(Path(path, "optimizer"), recipe.optimizer(), v1::OptimizerKind_descriptor(), checks);
  checks.FromBelow(Path(path, "momentum"), recipe.momentum(), 0.0, 1.0);
  CheckEnum(Path(path, "precision"), recipe.precision(), v1::Precision_descriptor(), checks);
  checks.FromBelow(Path(path, "ema_decay"), recipe.ema_decay(), 0.0, 1.0);
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
  CheckEnum(Path(path, "sampler"), recipe.sampler(), v1::SamplerKind_descriptor(), checks);
}

void CheckAugmentation(const v1::TrainingRecipe& recipe, absl::string_view path,
                       FieldChecks& checks) {
  checks.InRange(Path(path, "repeated_augmentation"), int64_t{recipe.repeated_augmentation()}, 1,
                 16);
  checks.InRange(Path(path, "random_resized_crop"), recipe.random_resized_crop(), 0.0, 1.0);
  if (recipe.random_resized_crop() > 0.0 && recipe.crop_padding() > 0) {
    checks.Fail(Path(path, "crop_padding"), recipe.crop_padding(), "0 beside random_resized_crop",
                "leave one of the two crops out");
  }
  checks.InRange(Path(path, "rand_augment_operations"), int64_t{recipe.rand_augment_operations()},
                 0, 15);
  checks.InRange(Path(path, "rand_augment_magnitude"), recipe.rand_augment_magnitude(), 0.0, 10.0);
  checks.InRange(Path(path, "rand_augment_magnitude_std"), recipe.rand_augment_magnitude_std(), 0.0,
                 10.0);
  checks.InRange(Path(path, "color_jitter"), recipe.color_jitter(), 0.0, 1.0);
}

void CheckRecipe(const v1::TrainingRecipe& recipe, absl::string_view path, FieldChecks& checks) {
  CheckSchedule(recipe, path, checks);
  CheckOptimiser(recipe, path, checks);
  CheckRegularisation(recipe, path, checks);
  CheckAugmentation(recipe, path, checks);
}

// Whether the loss of an image of this student depends on the other images of its batch.
bool LooksAcrossImages(const v1::StudentSpec& student) {
  return student.has_nac() ||
         (student.has_vmoe() && student.vmoe().router().kind() != v1::ROUTER_KIND_TOP_K);
}

void CheckGangs(const v1::JobSpec& spec, FieldChecks& checks) {
  for (const NamedRecipe& named : RecipesOf(spec)) {
    const std::string path = Path(named.path, "gang_size");
    const int size = named.recipe->gang_size();
    if (!named.recipe->has_gang_size() || size == 1) continue;
    checks.InRange(path, int64_t{size}, 1, kMostRanks);
    if (size < 1 || size > kMostRanks) continue;
    const bool of_student = named.path == "finetune_student";
    if (!of_student && named.path != "pretrain_meta" && named.path != "finetune_teacher") {
      checks.Fail(path, size, "1",
                  "stages, modules and few-shot episodes are trained apart anyway; whole models "
                  "are what a gang may share: pretrain_meta, finetune_teacher, finetune_student");
    } else if (of_student && LooksAcrossImages(spec.student())) {
      checks.Fail(
          path, size, "1",
          "this student's loss depends on the batch as a whole: it is a NAC, or has a router "
          "other than top_k");
    } else if (named.recipe->batch_size() % size != 0) {
      checks.Fail(path, size, absl::StrCat("a divisor of batch_size, ", named.recipe->batch_size()),
                  "each trainer takes an equal share of every batch");
    }
    if (spec.execution().numeric_class() == "any") {
      checks.Fail(path, size, "1",
                  "trainers of a gang compute in one numeric class; set execution.numeric_class");
    }
  }
}

void CheckDistillation(const v1::DistillationSpec& distillation, FieldChecks& checks) {
  CheckEnum("distillation.kind", distillation.kind(), v1::KdKind_descriptor(), checks);
  checks.InRange("distillation.alpha", distillation.alpha(), 0.0, 1.0);
  checks.InRange("distillation.tau", distillation.tau(), 0.1, 100.0);
  CheckEnum("distillation.divisor", distillation.divisor(), v1::KdDivisor_descriptor(), checks);
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
  checks.InRange("execution.priority", int64_t{execution.priority()}, 0, 9);
  if (execution.has_device_kind() && execution.device_kind() != "cpu" &&
      execution.device_kind() != "cuda") {
    checks.Fail("execution.device_kind", execution.device_kind(), "cpu or cuda");
  }
  if (execution.has_min_driver_version() && !IsVersion(execution.min_driver_version())) {
    checks.Fail("execution.min_driver_version", execution.min_driver_version(),
                "numbers with dots between, such as 535.104");
  }
  if (execution.labels_size() > kMostWorkerLabels) {
    checks.Fail("execution.labels", absl::StrCat(execution.labels_size(), " entries"),
                absl::StrCat("at most ", kMostWorkerLabels));
  }
  for (int i = 0; i < execution.labels_size(); ++i) {
    const std::string& label = execution.labels(i);
    const size_t equals = label.find('=');
    if (equals != std::string::npos && IsValidIdText(label.substr(0, equals)) &&
        label.size() <= kLongestWorkerLabel && !absl::StrContains(label, '\n')) {
      continue;
    }
    checks.Fail(absl::StrCat("execution.labels[", i, "]"), label, "key=value");
  }
}

void CheckDigests(absl::string_view path,
                  const google::protobuf::RepeatedPtrField<std::string>& digests, int modules,
                  absl::string_view noun, FieldChecks& checks) {
  if (!digests.empty() && digests.size() != modules) {
    checks.Fail(path, absl::StrCat(digests.size(), " ", noun), absl::StrCat(modules, " (modules)"),
                "give one digest per module, in order");
  }
  for (int i = 0; i < digests.size(); ++i) {
    checks.IsDigest(absl::StrCat(path, "[", i, "]"), digests.Get(i));
  }
}

void CheckGiven(const v1::GivenArtifacts& given, int modules, FieldChecks& checks) {
  if (given.has_meta()) checks.IsDigest("given.meta", given.meta());
  if (given.has_teacher()) checks.IsDigest("given.teacher", given.teacher());
  if (given.has_student()) checks.IsDigest("given.student", given.student());
  if (given.has_teacher() && !given.teacher_stages().empty()) {
    checks.Fail("given.teacher_stages", "given.teacher as well", "one of the two",
                "leave one out: stages are what the whole teacher is split into");
  }
  if (given.has_student() && !given.student_modules().empty()) {
    checks.Fail("given.student_modules", "given.student as well", "one of the two",
                "leave one out: a whole student is neither distilled nor assembled");
  }
  CheckDigests("given.teacher_stages", given.teacher_stages(), modules, "stages", checks);
  CheckDigests("given.student_modules", given.student_modules(), modules, "modules", checks);
}

void CheckNormalisation(const v1::DatasetSpec& dataset, absl::string_view path,
                        FieldChecks& checks) {
  if (dataset.mean_size() != dataset.deviation_size()) {
    checks.Fail(Path(path, "deviation"), absl::StrCat(dataset.deviation_size(), " numbers"),
                absl::StrCat(dataset.mean_size(), ", as many as mean"), "one for each channel");
  }
  for (int i = 0; i < dataset.mean_size(); ++i) {
    checks.InRange(absl::StrCat(Path(path, "mean"), "[", i, "]"), dataset.mean(i), -1e3, 1e3);
  }
  for (int i = 0; i < dataset.deviation_size(); ++i) {
    checks.AboveUpTo(absl::StrCat(Path(path, "deviation"), "[", i, "]"), dataset.deviation(i), 0.0,
                     1e3);
  }
}

void CheckDatasetSpec(const v1::DatasetSpec& dataset, absl::string_view path, FieldChecks& checks) {
  if (dataset.has_name()) checks.IsIdText(Path(path, "name"), dataset.name());
  if (dataset.path().empty() && !dataset.has_name()) {
    checks.Fail(Path(path, "path"), "nothing", "an absolute folder",
                "Debian's dataset-fashion-mnist is in /usr/share/datasets/fashion-mnist; or give "
                "the name of a registered data set");
  } else if (!dataset.path().empty() &&
             (dataset.path()[0] != '/' || dataset.path().size() > kLongestPath ||
              dataset.path().find_first_of(absl::string_view("\0\n\r", 3).data(), 0, 3) !=
                  std::string::npos)) {
    checks.Fail(Path(path, "path"), absl::StrCat("\"", dataset.path().substr(0, 80), "\""),
                "an absolute path without control characters",
                "every worker must find the data set under the same path");
  }
  CheckEnum(Path(path, "format"), dataset.format(), v1::DatasetFormat_descriptor(), checks);
  CheckEnum(Path(path, "corrupt_images"), dataset.corrupt_images(),
            v1::CorruptImagePolicy_descriptor(), checks);
  const auto check = [&](bool given, absl::string_view field, int64_t value, int64_t low,
                         int64_t high) {
    if (given) checks.InRange(Path(path, field), value, low, high);
  };
  check(dataset.has_classes(), "classes", dataset.classes(), 2, 100000);
  check(true, "train_images", dataset.train_images(), 0, 1'000'000'000);
  if (dataset.has_digest()) checks.IsDigest(Path(path, "digest"), dataset.digest());
  check(dataset.has_image_size(), "image_size", dataset.image_size(), 1, 4096);
  check(dataset.has_channels(), "channels", dataset.channels(), 1, 16);
  check(dataset.has_train_size(), "train_size", dataset.train_size(), 0, 1'000'000'000);
  check(dataset.has_input_size(), "input_size", dataset.input_size(), 1, 4096);
  CheckNormalisation(dataset, path, checks);
}

// Names become parts of task names.
void CheckLabel(const std::string& path, const std::string& name, std::set<std::string>& seen,
                FieldChecks& checks) {
  const auto allowed = [](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) ||
           absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '-' || c == '_';
  };
  if (name.empty() || name.size() > kLongestLabel ||
      !std::all_of(name.begin(), name.end(), allowed)) {
    checks.Fail(path, absl::StrCat("\"", absl::CHexEscape(name.substr(0, kLongestLabel)), "\""),
                absl::StrCat("1 to ", kLongestLabel, " lower-case letters, digits, - and _"));
  } else if (!seen.insert(name).second) {
    checks.Fail(path, absl::StrCat("\"", name, "\" again"), "each name once");
  }
}

void CheckOtherDataset(const v1::DatasetSpec& dataset, const std::string& path,
                       FieldChecks& checks) {
  CheckDatasetSpec(dataset, path, checks);
  if (!dataset.mean().empty() || !dataset.deviation().empty()) {
    checks.Fail(Path(path, "mean"), "numbers", "nothing",
                "images are normalised as those of `dataset`, as the model knows them");
  }
}

void CheckOutOfDistribution(const v1::EvaluationSpec& evaluation, FieldChecks& checks) {
  std::set<std::string> names;
  for (int i = 0; i < evaluation.out_of_distribution_size(); ++i) {
    const v1::OutOfDistributionSet& set = evaluation.out_of_distribution(i);
    const std::string path = absl::StrCat("evaluation.out_of_distribution[", i, "]");
    CheckLabel(Path(path, "name"), set.name(), names, checks);
    CheckOtherDataset(set.dataset(), Path(path, "dataset"), checks);
    std::set<int> classes;
    for (int c = 0; c < set.classes_size(); ++c) {
      const std::string class_path = absl::StrCat(path, ".classes[", c, "]");
      checks.InRange(class_path, int64_t{set.classes(c)}, 0, 99'999);
      if (!classes.insert(set.classes(c)).second) {
        checks.Fail(class_path, absl::StrCat(set.classes(c), " again"), "each class once");
      }
    }
  }
}

void CheckFeatures(const v1::FewShotSpec& few_shot, const v1::StudentSpec& student,
                   const std::string& path, FieldChecks& checks) {
  CheckEnum(path, few_shot.features(), v1::FewShotFeatures_descriptor(), checks);
  if (few_shot.features() != v1::FEW_SHOT_FEATURES_CACHED) return;
  if (!SeesImagesUnchanged(few_shot.recipe())) {
    checks.Fail(path, "cached", "live, or a recipe without augmentation, mixing and drop_path",
                "what is kept of an image holds only while the image stays as it is");
  }
  if (student.nac().stochastic_evaluation()) {
    checks.Fail(path, "cached", "live, or student.nac.stochastic_evaluation: false",
                "what is drawn anew for every pass cannot be kept");
  }
}

void CheckFewShot(const v1::JobSpec& spec, FieldChecks& checks) {
  std::set<std::string> names;
  for (int i = 0; i < spec.few_shot_size(); ++i) {
    const v1::FewShotSpec& few_shot = spec.few_shot(i);
    const std::string path = absl::StrCat("few_shot[", i, "]");
    CheckLabel(Path(path, "name"), few_shot.name(), names, checks);
    CheckOtherDataset(few_shot.dataset(), Path(path, "dataset"), checks);
    checks.InRange(Path(path, "ways"), int64_t{few_shot.ways()}, 2, 1000);
    checks.InRange(Path(path, "shots"), int64_t{few_shot.shots()}, 1, 1000);
    checks.InRange(Path(path, "test_images"), int64_t{few_shot.test_images()}, 1, 100'000);
    CheckRecipe(few_shot.recipe(), Path(path, "recipe"), checks);
    CheckFeatures(few_shot, spec.student(), Path(path, "features"), checks);
    const int64_t episode = int64_t{few_shot.ways()} * few_shot.shots();
    if (few_shot.recipe().batch_size() > episode) {
      checks.Fail(Path(path, "recipe.batch_size"), few_shot.recipe().batch_size(),
                  absl::StrCat("at most ways * shots, ", episode));
    }
  }
}

void CheckQualityGate(const v1::QualityGateSpec& gate, FieldChecks& checks) {
  checks.InRange("quality_gate.largest_accuracy_gap", gate.largest_accuracy_gap(), 0.0, 1.0);
  checks.InRange("quality_gate.candidates", int64_t{gate.candidates()}, 1, 16);
}

void CheckBaselines(const v1::JobSpec& spec, FieldChecks& checks) {
  std::set<int> seen;
  for (int i = 0; i < spec.baselines_size(); ++i) {
    const std::string path = absl::StrCat("baselines[", i, "]");
    const int kind = spec.baselines(i);
    if (!v1::BaselineKind_IsValid(kind) || kind == v1::BASELINE_KIND_UNSPECIFIED) {
      checks.Fail(path, kind, "a known baseline kind");
    } else if (!seen.insert(kind).second) {
      checks.Fail(path, absl::StrCat(ValueName(kind, v1::BaselineKind_descriptor()), " again"),
                  "each baseline once");
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

void CheckPreset(const v1::JobSpec& spec, FieldChecks& checks) {
  if (!spec.has_preset()) return;
  const std::vector<std::string> names = PresetNames();
  if (std::find(names.begin(), names.end(), spec.preset()) == names.end()) {
    checks.Fail("preset", absl::StrCat("\"", absl::CHexEscape(spec.preset().substr(0, 80)), "\""),
                absl::StrCat("one of ", absl::StrJoin(names, ", ")));
  }
}

}  // namespace

absl::Status ValidateJobSpec(const v1::JobSpec& resolved) {
  FieldChecks checks;
  CheckNames(resolved, checks);
  CheckPreset(resolved, checks);
  CheckDatasetSpec(resolved.dataset(), "dataset", checks);
  const int modules = resolved.modules();
  checks.InRange("modules", int64_t{modules}, 1, kMostModules);
  checks.InRange("patch_size", int64_t{resolved.patch_size()}, 1, 4096);
  CheckVit(resolved.meta(), modules, "meta", checks);
  CheckVit(resolved.teacher(), modules, "teacher", checks);
  if (resolved.teacher().embed_dim() != resolved.meta().embed_dim()) {
    checks.Fail("teacher.embed_dim", resolved.teacher().embed_dim(),
                absl::StrCat("meta.embed_dim, ", resolved.meta().embed_dim()),
                "teacher stages are trained inside the meta model, so widths must agree");
  }
  CheckStudent(resolved.student(), modules, resolved.meta().embed_dim(), checks);
  for (const NamedRecipe& named : PhaseRecipesOf(resolved)) {
    CheckRecipe(*named.recipe, named.path, checks);
  }
  CheckGangs(resolved, checks);
  CheckDistillation(resolved.distillation(), checks);
  CheckEvaluation(resolved.evaluation(), checks);
  CheckBaselines(resolved, checks);
  CheckExecution(resolved.execution(), checks);
  CheckGiven(resolved.given(), modules, checks);
  CheckOutOfDistribution(resolved.evaluation(), checks);
  CheckFewShot(resolved, checks);
  CheckQualityGate(resolved.quality_gate(), checks);
  return checks.ToStatus(kAction);
}

namespace {

void CheckAgainstFiles(const v1::DatasetSpec& dataset, const DatasetInfo& info,
                       absl::string_view path, FieldChecks& checks) {
  const auto must_equal = [&](absl::string_view field, int64_t got, int64_t want) {
    if (got != want) checks.Fail(Path(path, field), got, want, "leave it out: the files say it");
  };
  must_equal("image_size", dataset.image_size(), info.image_size);
  must_equal("channels", dataset.channels(), info.channels);
  must_equal("classes", dataset.classes(), info.classes);
  must_equal("train_size", dataset.train_size(), info.train_images);
  if (dataset.digest() != info.digest) {
    checks.Fail(Path(path, "digest"), dataset.digest(), info.digest,
                absl::StrCat("the files under ", path, ".path hold something else"));
  }
  if (!dataset.mean().empty() && dataset.mean_size() != info.channels) {
    checks.Fail(Path(path, "mean"), absl::StrCat(dataset.mean_size(), " numbers"),
                absl::StrCat(info.channels, ", one for each channel"));
  }
}

// Of a further data set: that its images suit the model.
void CheckAgainstModel(const v1::DatasetSpec& dataset, const v1::DatasetSpec& main,
                       absl::string_view path, FieldChecks& checks) {
  const std::string remedy = "the model knows no other images";
  if (dataset.channels() != main.channels()) {
    checks.Fail(Path(path, "channels"), dataset.channels(),
                absl::StrCat(main.channels(), ", as in dataset"), remedy);
  }
  if (dataset.input_size() != main.input_size()) {
    checks.Fail(Path(path, "input_size"), dataset.input_size(),
                absl::StrCat(main.input_size(), ", as in dataset"), remedy);
  }
}

void CheckTrainingImages(const v1::JobSpec& complete, const DatasetInfo& info,
                         FieldChecks& checks) {
  const v1::DatasetSpec& dataset = complete.dataset();
  if (info.train_images < 1) {
    checks.Fail("dataset.train_size", info.train_images, "training images",
                "this data set is for evaluation only");
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
  for (const NamedRecipe& named : PhaseRecipesOf(complete)) {
    if (named.recipe->batch_size() > train_images) {
      checks.Fail(Path(named.path, "batch_size"), named.recipe->batch_size(),
                  absl::StrCat("at most the training images, ", train_images));
    }
  }
}

// Why names did not tell the model's class for each of the set's.
std::string UnknownClassWords(const DatasetInfo& main, const DatasetInfo& set) {
  if (main.class_names.empty()) return "the classes of dataset have no names to find them by";
  if (set.class_names.empty()) return "the classes of the set have no names to find them by";
  const std::set<std::string> known(main.class_names.begin(), main.class_names.end());
  std::vector<std::string> unknown;
  for (const std::string& name : set.class_names) {
    if (known.count(name) == 0) unknown.push_back(name);
  }
  if (unknown.empty()) return "name them in order";
  return absl::StrCat(unknown.size(), unknown.size() == 1 ? " class is" : " classes are",
                      " not among those of dataset, the first is ", unknown.front());
}

void CheckOutOfDistributionSet(const v1::OutOfDistributionSet& set, const v1::DatasetSpec& main,
                               const DatasetInfo& main_info, const DatasetInfo& info,
                               const std::string& path, FieldChecks& checks) {
  CheckAgainstFiles(set.dataset(), info, Path(path, "dataset"), checks);
  CheckAgainstModel(set.dataset(), main, Path(path, "dataset"), checks);
  if (set.classes().empty()) {
    checks.Fail(Path(path, "classes"), "nothing",
                absl::StrCat("the model's class for each of its ", info.classes, " classes"),
                UnknownClassWords(main_info, info));
  } else if (set.classes_size() != info.classes) {
    checks.Fail(Path(path, "classes"), absl::StrCat(set.classes_size(), " classes"),
                absl::StrCat("the set's ", info.classes));
  }
  for (int i = 0; i < set.classes_size(); ++i) {
    if (set.classes(i) >= main.classes()) {
      checks.Fail(absl::StrCat(path, ".classes[", i, "]"), set.classes(i),
                  absl::StrCat("below dataset.classes, ", main.classes()));
    }
  }
}

// How many classes have enough images for an episode; all of them when that is unknown. A set for
// evaluation only gives both kinds of images from its test images.
int64_t ClassesForEpisode(const v1::FewShotSpec& few_shot, const DatasetInfo& info) {
  if (info.test_class_images.empty()) return info.classes;
  int64_t usable = 0;
  for (size_t c = 0; c < info.test_class_images.size(); ++c) {
    const bool trains = c < info.train_class_images.size();
    const int64_t tested = int64_t{few_shot.test_images()} + (trains ? 0 : few_shot.shots());
    const bool enough = info.test_class_images[c] >= tested &&
                        (!trains || info.train_class_images[c] >= few_shot.shots());
    usable += enough ? 1 : 0;
  }
  return usable;
}

void CheckEpisode(const v1::FewShotSpec& few_shot, const v1::DatasetSpec& main,
                  const DatasetInfo& info, const std::string& path, FieldChecks& checks) {
  CheckAgainstFiles(few_shot.dataset(), info, Path(path, "dataset"), checks);
  CheckAgainstModel(few_shot.dataset(), main, Path(path, "dataset"), checks);
  if (few_shot.ways() > info.classes) {
    checks.Fail(Path(path, "ways"), few_shot.ways(),
                absl::StrCat("at most the data set's classes, ", info.classes));
  }
  const int64_t usable = ClassesForEpisode(few_shot, info);
  if (usable < few_shot.ways() && few_shot.ways() <= info.classes) {
    checks.Fail(Path(path, "ways"), few_shot.ways(),
                absl::StrCat("at most ", usable, ", the classes that have ", few_shot.shots(),
                             " training and ", few_shot.test_images(), " test images"),
                "lower shots or test_images");
  }
}

}  // namespace

absl::Status ValidateDatasets(const v1::JobSpec& complete, const JobDatasets& infos) {
  FieldChecks checks;
  const v1::DatasetSpec& dataset = complete.dataset();
  CheckAgainstFiles(dataset, infos.main, "dataset", checks);
  if (complete.patch_size() >= 1 && dataset.input_size() % complete.patch_size() != 0) {
    checks.Fail("patch_size", complete.patch_size(),
                absl::StrCat("a divisor of the image size, ", dataset.input_size()));
  }
  if (complete.student().has_nac()) {
    CheckTokenizerInput(complete.student().nac(), dataset.input_size(), checks);
  }
  CheckTrainingImages(complete, infos.main, checks);
  if (infos.main.test_images > 0 &&
      complete.evaluation().corruption_images() > infos.main.test_images) {
    checks.Fail("evaluation.corruption_images", complete.evaluation().corruption_images(),
                absl::StrCat("at most the test images, ", infos.main.test_images), "0 means all");
  }
  for (int i = 0; i < complete.evaluation().out_of_distribution_size(); ++i) {
    CheckOutOfDistributionSet(complete.evaluation().out_of_distribution(i), dataset, infos.main,
                              infos.out_of_distribution[static_cast<size_t>(i)],
                              absl::StrCat("evaluation.out_of_distribution[", i, "]"), checks);
  }
  for (int i = 0; i < complete.few_shot_size(); ++i) {
    CheckEpisode(complete.few_shot(i), dataset, infos.few_shot[static_cast<size_t>(i)],
                 absl::StrCat("few_shot[", i, "]"), checks);
  }
  return checks.ToStatus(kAction);
}

}  // namespace distill::server
