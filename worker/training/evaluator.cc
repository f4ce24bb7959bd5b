#include "worker/training/evaluator.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/corruption_names.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "worker/data/class_names.h"
#include "worker/data/corruption.h"
#include "worker/data/square_dataset.h"
#include "worker/data/subset.h"
#include "worker/models/hybrid.h"
#include "worker/training/model_builder.h"
#include "worker/training/scorer.h"
#include "worker/training/trainee.h"

namespace distill::training {
namespace {

// A loaded network, from images to logits.
struct Subject {
  LogitsFunction logits;
  int64_t parameters = 0;
};

absl::StatusOr<Subject> LoadWholeModel(const v1::MemberAssignment& assignment,
                                       absl::StatusOr<std::unique_ptr<models::Network>> built,
                                       const torch::Device& device) {
  DISTILL_RETURN_IF_ERROR(built.status());
  const std::shared_ptr<models::Network> model = *std::move(built);
  DISTILL_ASSIGN_OR_RETURN(const std::string path, InputPath(assignment, "model"));
  DISTILL_RETURN_IF_ERROR(LoadModel(path, *model));
  model->MoveTo(device);
  return Subject{[model](const torch::Tensor& images, const models::ForwardContext& context) {
                   return model->Forward(images, context);
                 },
                 models::CountParameters(*model)};
}

int64_t CountParameters(const models::StagedModel& meta) {
  int64_t count = 0;
  for (const models::VitStage& stage : meta.stages()) {
    if (!stage.is_empty()) count += models::CountParameters(models::StageNetwork(stage));
  }
  return count;
}

absl::StatusOr<Subject> LoadHybrid(const v1::MemberAssignment& assignment,
                                   absl::StatusOr<std::unique_ptr<models::Network>> built,
                                   absl::string_view input, const torch::Device& device) {
  const v1::TaskSpec& spec = assignment.spec();
  const int64_t index = spec.module_index();
  DISTILL_RETURN_IF_ERROR(built.status());
  const std::shared_ptr<models::Network> module = *std::move(built);
  DISTILL_ASSIGN_OR_RETURN(const std::string module_path, InputPath(assignment, input));
  DISTILL_RETURN_IF_ERROR(LoadModule(module_path, index, *module));
  module->MoveTo(device);
  DISTILL_ASSIGN_OR_RETURN(const std::vector<models::StageConfig> stages, MetaStages(spec, 0));
  std::vector<bool> wanted(stages.size(), true);
  wanted[static_cast<size_t>(index)] = false;
  DISTILL_ASSIGN_OR_RETURN(const std::string meta_path, InputPath(assignment, "meta"));
  DISTILL_ASSIGN_OR_RETURN(const models::StagedModel meta,
                           LoadFrozenStages(stages, wanted, meta_path));
  meta.MoveTo(device);
  return Subject{
      [meta, module, index](const torch::Tensor& images, const models::ForwardContext& context) {
        return models::HybridLogits(meta, index, *module,
                                    models::PrefixOutput(meta, index, images, context), context);
      },
      CountParameters(meta) + models::CountParameters(*module)};
}

absl::StatusOr<Subject> LoadSubject(const v1::MemberAssignment& assignment,
                                    const torch::Device& device) {
  const v1::TaskSpec& spec = assignment.spec();
  switch (spec.subject()) {
    case v1::EVALUATION_SUBJECT_META:
      return LoadWholeModel(assignment, BuildMeta(spec, 0), device);
    case v1::EVALUATION_SUBJECT_TEACHER:
      return LoadWholeModel(assignment, BuildTeacher(spec, 0), device);
    case v1::EVALUATION_SUBJECT_STUDENT:
      return LoadWholeModel(assignment, BuildStudent(spec, 0), device);
    case v1::EVALUATION_SUBJECT_TEACHER_HYBRID:
      return LoadHybrid(assignment, BuildTeacherStage(spec, 0), "teacher_stage", device);
    case v1::EVALUATION_SUBJECT_STUDENT_HYBRID:
      return LoadHybrid(assignment, BuildStudentModule(spec, 0), "module", device);
    default:
      return absl::InvalidArgumentError(absl::StrCat("cannot evaluate: unknown subject; subject=",
                                                     static_cast<int>(spec.subject())));
  }
}

// Every corruption at every severity, in the order of the spec.
std::vector<data::CorruptionSpec> CorruptionsOf(const v1::EvaluationSpec& spec,
                                                absl::Status* status) {
  std::vector<data::CorruptionSpec> corruptions;
  for (const std::string& name : spec.corruptions()) {
    if (name == kNoCorruptions) return {};
    const absl::StatusOr<data::CorruptionKind> kind = data::ParseCorruption(name);
    if (!kind.ok()) {
      *status = kind.status();
      return {};
    }
    for (const int severity : spec.severities()) {
      corruptions.push_back({*kind, severity, spec.seed()});
    }
  }
  return corruptions;
}

// The reference's gate drops nothing, and its metrics keep their bytes.
bool HasReferenceGate(const v1::TaskSpec& spec) {
  const v1::RouterKind kind = spec.student().vmoe().router().kind();
  return kind == v1::ROUTER_KIND_UNSPECIFIED || kind == v1::ROUTER_KIND_TOP_K;
}

void SetExperts(const Score& score, const v1::TaskSpec& spec, v1::EvaluationResult* result) {
  for (const models::ExpertLoad& load : score.expert_loads) {
    result->set_experts(static_cast<int>(load.tokens.size()));
    for (const double share : models::TokenShares(load)) result->add_expert_load(share);
    if (HasReferenceGate(spec)) continue;
    for (const double share : models::ImportanceShares(load)) result->add_expert_importance(share);
    result->add_expert_dropped(models::DroppedShare(load));
  }
}

void SetClean(const Score& score, const v1::TaskSpec& spec, v1::EvaluationResult* result) {
  result->set_accuracy(score.accuracy());
  result->set_loss(score.images == 0 ? 0 : score.loss_sum / static_cast<double>(score.images));
  result->set_images(score.images);
  SetExperts(score, spec, result);
}

// The data set as squares of the models' size: what is corrupted is what the models see.
absl::StatusOr<std::shared_ptr<const data::Dataset>> Squares(
    std::shared_ptr<const data::Dataset> images, const v1::DatasetSpec& spec) {
  if (spec.input_size() == 0) return images;
  return data::SquareDataset::Create(std::move(images), spec.input_size());
}

// Scores the corruptions of the task, in order.
absl::Status ScoreCorruptions(const v1::TaskSpec& task,
                              const std::vector<data::CorruptionSpec>& corruptions,
                              const std::shared_ptr<const data::Dataset>& images, Scorer& scorer,
                              v1::EvaluationResult* result) {
  const v1::EvaluationSpec& spec = task.evaluation();
  double accuracy_sum = 0;
  for (const data::CorruptionSpec& corruption : corruptions) {
    // Corrupts the whole and then chooses, so that an image is spoilt alike in any subset.
    DISTILL_ASSIGN_OR_RETURN(std::shared_ptr<const data::Dataset> spoilt,
                             data::CorruptedDataset::Create(images, corruption));
    data::SubsetSpec subset;
    subset.rule = data::SubsetRule::kStratified;
    subset.count = spec.corruption_images();
    subset.seed = spec.seed();
    DISTILL_ASSIGN_OR_RETURN(std::shared_ptr<const data::Dataset> chosen,
                             data::SubsetDataset::Create(std::move(spoilt), subset));
    DISTILL_ASSIGN_OR_RETURN(const Score score,
                             scorer.Run(std::move(chosen), CorruptImagesOf(task.dataset())));
    v1::EvaluationResult::Corruption& entry = *result->add_corruptions();
    entry.set_name(std::string(data::CorruptionName(corruption.kind)));
    entry.set_severity(corruption.severity);
    entry.set_accuracy(score.accuracy());
    entry.set_images(score.images);
    accuracy_sum += score.accuracy();
  }
  if (!corruptions.empty()) {
    result->set_corruption_accuracy_mean(accuracy_sum / static_cast<double>(corruptions.size()));
  }
  return absl::OkStatus();
}

// The model's class for each class of another test set: as the task says, else by name.
absl::StatusOr<std::vector<int64_t>> ClassesOf(const v1::OutOfDistributionSet& set,
                                               const ImageSets& other, const ImageSets& own,
                                               int64_t own_classes) {
  if (set.classes_size() == 0) {
    DISTILL_ASSIGN_OR_RETURN(const std::vector<int> found,
                             data::FindClasses(own.class_names, other.class_names));
    return std::vector<int64_t>(found.begin(), found.end());
  }
  std::vector<int64_t> classes(set.classes().begin(), set.classes().end());
  const bool fits = static_cast<int>(classes.size()) == other.test->classes() &&
                    std::all_of(classes.begin(), classes.end(), [own_classes](int64_t label) {
                      return 0 <= label && label < own_classes;
                    });
  if (fits) return classes;
  return absl::InvalidArgumentError(
      absl::StrCat("cannot evaluate: classes must hold a class of the model for each class of the "
                   "data set; set=",
                   set.name(), " got=", classes.size(), " wanted=", other.test->classes(),
                   " model_classes=", own_classes));
}

absl::Status ScoreOutOfDistribution(const v1::TaskSpec& spec, const ImageSets& own,
                                    const TrainingEnvironment& environment, Scorer& scorer,
                                    v1::EvaluationResult* result) {
  for (const v1::OutOfDistributionSet& set : spec.evaluation().out_of_distribution()) {
    DISTILL_ASSIGN_OR_RETURN(const std::shared_ptr<const ImageSets> other,
                             environment.images.Open(set.dataset()));
    DISTILL_ASSIGN_OR_RETURN(const std::vector<int64_t> classes,
                             ClassesOf(set, *other, own, spec.dataset().classes()));
    DISTILL_ASSIGN_OR_RETURN(const Score score,
                             scorer.Run(other->test, CorruptImagesOf(set.dataset()), classes));
    v1::EvaluationResult::OutOfDistribution& entry = *result->add_out_of_distribution();
    entry.set_name(set.name());
    entry.set_accuracy(score.accuracy());
    entry.set_images(score.images);
    entry.set_classes(static_cast<int>(classes.size()));
  }
  return absl::OkStatus();
}

double Rounded(double value) { return std::round(value * 1e8) / 1e8; }

nlohmann::json RoundedAll(const google::protobuf::RepeatedField<double>& values) {
  nlohmann::json rounded = nlohmann::json::array();
  for (const double value : values) rounded.push_back(Rounded(value));
  return rounded;
}

}  // namespace

absl::StatusOr<v1::EvaluationResult> Evaluate(const v1::MemberAssignment& assignment,
                                              const TrainingEnvironment& environment) {
  const v1::TaskSpec& task = assignment.spec();
  const v1::EvaluationSpec& spec = task.evaluation();
  DISTILL_ASSIGN_OR_RETURN(Subject subject, LoadSubject(assignment, environment.device));
  DISTILL_ASSIGN_OR_RETURN(const std::shared_ptr<const ImageSets> sets,
                           environment.images.Open(task.dataset()));
  DISTILL_ASSIGN_OR_RETURN(const std::shared_ptr<const data::Dataset> test,
                           Squares(sets->test, task.dataset()));
  absl::Status parsed;
  const std::vector<data::CorruptionSpec> corruptions = CorruptionsOf(spec, &parsed);
  DISTILL_RETURN_IF_ERROR(parsed);
  const int64_t subset_size =
      spec.corruption_images() == 0 ? test->size() : spec.corruption_images();
  v1::EvaluationResult result;
  result.set_parameters(subject.parameters);
  Scorer::Config config;
  config.logits = std::move(subject.logits);
  config.batch_size = spec.batch_size();
  DISTILL_ASSIGN_OR_RETURN(config.transform, environment.images.Normalization(task.dataset()));
  config.random = CounterRandom(spec.seed()).Stream("evaluation");
  config.total_images = test->size() + subset_size * static_cast<int64_t>(corruptions.size());
  Scorer scorer(assignment, environment, std::move(config));

  DISTILL_ASSIGN_OR_RETURN(const Score clean, scorer.Run(test, CorruptImagesOf(task.dataset())));
  SetClean(clean, task, &result);
  DISTILL_RETURN_IF_ERROR(ScoreCorruptions(task, corruptions, test, scorer, &result));
  DISTILL_RETURN_IF_ERROR(ScoreOutOfDistribution(task, *sets, environment, scorer, &result));
  return result;
}

absl::StatusOr<v1::EvaluationResult> EvaluateTrained(const v1::MemberAssignment& assignment,
                                                     const models::Network& network,
                                                     const TaskImages& images,
                                                     const TrainingEnvironment& environment) {
  Scorer::Config config;
  config.logits = [&network](const torch::Tensor& pixels, const models::ForwardContext& context) {
    return network.Forward(pixels, context);
  };
  config.transform = images.transform;
  config.random = CounterRandom(assignment.spec().seed()).Stream("evaluation");
  config.total_images = images.test->size();
  Scorer scorer(assignment, environment, std::move(config));
  DISTILL_ASSIGN_OR_RETURN(const Score score, scorer.Run(images.test, images.corrupt_images));
  v1::EvaluationResult result;
  result.set_parameters(models::CountParameters(network));
  SetClean(score, assignment.spec(), &result);
  return result;
}

v1::EvaluationResult EvaluateFeatures(const models::Network& network,
                                      const FrozenFeatures& features) {
  const torch::NoGradGuard no_gradient;
  const torch::Tensor labels = torch::tensor(features.labels, torch::kInt64);
  const torch::Tensor logits = network.Classify(features.features.to(models::DeviceOf(network)))
                                   .to(torch::kCPU, torch::kFloat64);
  v1::EvaluationResult result;
  const int64_t images = labels.size(0);
  result.set_images(images);
  result.set_accuracy((logits.argmax(1) == labels).sum().item<double>() /
                      static_cast<double>(images));
  result.set_loss(-logits.log_softmax(1).gather(1, labels.unsqueeze(1)).sum().item<double>() /
                  static_cast<double>(images));
  result.set_parameters(models::CountParameters(network));
  return result;
}

absl::StatusOr<v1::ProducedFile> WriteMetrics(const v1::MemberAssignment& assignment,
                                              const v1::EvaluationResult& result) {
  v1::ProducedFile produced;
  produced.set_name("metrics");
  produced.set_path(JoinPath(assignment.output_directory(), "metrics.json"));
  DISTILL_RETURN_IF_ERROR(WriteFileAtomically(produced.path(), CanonicalJson(result)));
  return produced;
}

std::string CanonicalJson(const v1::EvaluationResult& result) {
  nlohmann::json corruptions = nlohmann::json::array();
  for (const v1::EvaluationResult::Corruption& corruption : result.corruptions()) {
    corruptions.push_back({{"accuracy", Rounded(corruption.accuracy())},
                           {"images", corruption.images()},
                           {"name", corruption.name()},
                           {"severity", corruption.severity()}});
  }
  nlohmann::json json = {{"accuracy", Rounded(result.accuracy())},
                         {"corruptionAccuracyMean", Rounded(result.corruption_accuracy_mean())},
                         {"corruptions", corruptions},
                         {"expertLoad", RoundedAll(result.expert_load())},
                         {"experts", result.experts()},
                         {"images", result.images()},
                         {"loss", Rounded(result.loss())},
                         {"parameters", result.parameters()}};
  if (result.expert_dropped_size() > 0) {
    json["expertDropped"] = RoundedAll(result.expert_dropped());
    json["expertImportance"] = RoundedAll(result.expert_importance());
  }
  for (const v1::EvaluationResult::OutOfDistribution& set : result.out_of_distribution()) {
    json["outOfDistribution"].push_back({{"accuracy", Rounded(set.accuracy())},
                                         {"classes", set.classes()},
                                         {"images", set.images()},
                                         {"name", set.name()}});
  }
  return json.dump() + "\n";
}

}  // namespace distill::training
