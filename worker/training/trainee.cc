#include "worker/training/trainee.h"

#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "worker/training/autocast.h"
#include "worker/training/frozen_features.h"
#include "worker/training/model_builder.h"
#include "worker/training/nac_builder.h"

namespace distill::training {
namespace {

// The task with the episode's classes in place of those that the model was trained on.
v1::TaskSpec EpisodeSpec(v1::TaskSpec spec) {
  spec.mutable_dataset()->set_classes(spec.few_shot().ways());
  return spec;
}

absl::StatusOr<std::unique_ptr<models::Network>> BuildNetwork(const v1::TaskSpec& spec) {
  const double drop_path = spec.recipe().drop_path();
  switch (spec.kind()) {
    case v1::TASK_KIND_PRETRAIN_META:
      return BuildMeta(spec, drop_path);
    case v1::TASK_KIND_FINETUNE_TEACHER:
      return BuildTeacher(spec, drop_path);
    case v1::TASK_KIND_INCUBATE_TEACHER:
      return BuildTeacherStage(spec, drop_path);
    case v1::TASK_KIND_DISTILL_MODULE:
      return BuildStudentModule(spec, drop_path);
    case v1::TASK_KIND_FEW_SHOT:
      return BuildStudent(EpisodeSpec(spec), drop_path);
    default:
      return BuildStudent(spec, drop_path);
  }
}

// The share of rows whose largest logit is at their class; float64.
torch::Tensor Accuracy(const torch::Tensor& logits, const torch::Tensor& classes) {
  return (logits.detach().argmax(1) == classes).to(torch::kFloat64).mean();
}

// Everything but the classifier comes from the model, and only the classifier is trained.
absl::Status PrepareFewShot(const v1::MemberAssignment& assignment, models::Network& network) {
  DISTILL_ASSIGN_OR_RETURN(const std::string path, InputPath(assignment, "model"));
  DISTILL_ASSIGN_OR_RETURN(TensorFile file, ReadTensorFile(path));
  for (auto entry = file.tensors.begin(); entry != file.tensors.end();) {
    entry = network.IsClassifier(entry->first) ? file.tensors.erase(entry) : std::next(entry);
  }
  models::ImportOptions options;
  options.keep_head = true;
  DISTILL_RETURN_IF_ERROR(
      Annotate(network.Import(file.tensors, options), absl::StrCat("cannot load ", path)));
  for (models::NamedTensor& parameter : network.Parameters()) {
    parameter.tensor.set_requires_grad(network.IsClassifier(parameter.name));
  }
  return absl::OkStatus();
}

// Gives a whole network or a module its first weights.
absl::Status PrepareWeights(const v1::MemberAssignment& assignment, models::Network& network) {
  const v1::TaskSpec& spec = assignment.spec();
  switch (spec.kind()) {
    case v1::TASK_KIND_FINETUNE_TEACHER:
    case v1::TASK_KIND_FINETUNE_STUDENT: {
      DISTILL_ASSIGN_OR_RETURN(const std::string path, InputPath(assignment, "model"));
      return LoadModel(path, network);
    }
    case v1::TASK_KIND_FEW_SHOT:
      network.Initialize(InitializationRandom(spec));
      return PrepareFewShot(assignment, network);
    default:
      network.Initialize(InitializationRandom(spec));
      if (spec.kind() != v1::TASK_KIND_TRAIN_BASELINE || !spec.student().has_nac()) {
        return absl::OkStatus();
      }
      DISTILL_ASSIGN_OR_RETURN(const std::string path, InputPath(assignment, "signatures"));
      return LoadSignatures(path, network);
  }
}

bool HasWholeTeacher(const v1::TaskSpec& spec) {
  return spec.kind() == v1::TASK_KIND_TRAIN_BASELINE &&
         spec.baseline() == v1::BASELINE_KIND_WHOLE_MODEL_DISTILLATION;
}

absl::StatusOr<std::unique_ptr<models::Network>> LoadTeacher(
    const v1::MemberAssignment& assignment) {
  const v1::TaskSpec& spec = assignment.spec();
  std::unique_ptr<models::Network> teacher;
  if (HasWholeTeacher(spec)) {
    DISTILL_ASSIGN_OR_RETURN(teacher, BuildTeacher(spec, 0));
    DISTILL_ASSIGN_OR_RETURN(const std::string path, InputPath(assignment, "teacher"));
    DISTILL_RETURN_IF_ERROR(LoadModel(path, *teacher));
  } else {
    DISTILL_ASSIGN_OR_RETURN(teacher, BuildTeacherStage(spec, 0));
    DISTILL_ASSIGN_OR_RETURN(const std::string path, InputPath(assignment, "teacher_stage"));
    DISTILL_RETURN_IF_ERROR(LoadModule(path, spec.module_index(), *teacher));
  }
  models::Freeze(*teacher);
  return teacher;
}

optimization::DistillationConfig DistillationOf(const v1::DistillationSpec& spec) {
  optimization::DistillationConfig config;
  config.kind = spec.kind() == v1::KD_KIND_HARD ? optimization::DistillationKind::kHard
                                                : optimization::DistillationKind::kSoft;
  config.divisor = spec.divisor() == v1::KD_DIVISOR_NUMEL
                       ? optimization::DistillationDivisor::kElements
                       : optimization::DistillationDivisor::kBatch;
  config.temperature = spec.tau();
  config.teacher_share = spec.alpha();
  return config;
}

NamedTensors Copied(const std::vector<models::NamedTensor>& tensors) {
  NamedTensors copies;
  for (const models::NamedTensor& entry : tensors) copies[entry.name] = entry.tensor.clone();
  return copies;
}

}  // namespace

bool IsTraining(v1::TaskKind kind) {
  return kind == v1::TASK_KIND_PRETRAIN_META || kind == v1::TASK_KIND_FINETUNE_TEACHER ||
         kind == v1::TASK_KIND_FINETUNE_STUDENT || kind == v1::TASK_KIND_TRAIN_BASELINE ||
         kind == v1::TASK_KIND_FEW_SHOT || IsHybrid(kind);
}

bool IsHybrid(v1::TaskKind kind) {
  return kind == v1::TASK_KIND_INCUBATE_TEACHER || kind == v1::TASK_KIND_DISTILL_MODULE;
}

absl::StatusOr<std::string> InputPath(const v1::MemberAssignment& assignment,
                                      absl::string_view name) {
  const auto found = assignment.input_paths().find(std::string(name));
  if (found != assignment.input_paths().end()) return found->second;
  return absl::InvalidArgumentError(
      absl::StrCat("cannot start task: an input is missing; input=", name,
                   " kind=", v1::TaskKind_Name(assignment.spec().kind())));
}

absl::StatusOr<Trainee> Trainee::Create(const v1::MemberAssignment& assignment,
                                        std::shared_ptr<const models::StagedModel> meta,
                                        const torch::Device& device) {
  const v1::TaskSpec& spec = assignment.spec();
  Trainee trainee;
  trainee.kind_ = spec.kind();
  trainee.precision_ = spec.recipe().precision();
  trainee.takes_features_ = UsesFrozenFeatures(spec);
  if (IsHybrid(spec.kind())) {
    DISTILL_CHECK(meta != nullptr, "a hybrid has a meta model");
    trainee.meta_ = std::move(meta);
    trainee.module_index_ = spec.module_index();
  }
  DISTILL_ASSIGN_OR_RETURN(trainee.network_, BuildNetwork(spec));
  DISTILL_RETURN_IF_ERROR(PrepareWeights(assignment, *trainee.network_));
  trainee.network_->MoveTo(device);
  if (spec.kind() == v1::TASK_KIND_DISTILL_MODULE || HasWholeTeacher(spec)) {
    DISTILL_ASSIGN_OR_RETURN(trainee.teacher_, LoadTeacher(assignment));
    trainee.teacher_->MoveTo(device);
    trainee.distillation_ = DistillationOf(spec.distillation());
  }
  return trainee;
}

torch::Tensor Trainee::Logits(const torch::Tensor& input,
                              const models::ForwardContext& context) const {
  if (takes_features_) return network_->Classify(input);
  if (meta_ == nullptr) return network_->Forward(input, context);
  return models::HybridLogits(*meta_, module_index_, *network_, input, context);
}

torch::Tensor Trainee::TeacherLogits(const torch::Tensor& input) const {
  if (teacher_ == nullptr) return torch::Tensor();
  const torch::NoGradGuard no_gradient;
  if (meta_ == nullptr) return teacher_->Forward(input, models::ForwardContext());
  return models::HybridLogits(*meta_, module_index_, *teacher_, input, models::ForwardContext());
}

LossTerms Trainee::Loss(const torch::Tensor& input, const torch::Tensor& targets,
                        const models::ForwardContext& context,
                        const models::TrainingMoment& moment) const {
  LossTerms terms;
  models::ForwardContext collecting = context;
  collecting.auxiliary_losses = &terms.added;
  torch::Tensor logits, teacher_logits;
  {
    const AutocastScope autocast(precision_);
    logits = Logits(input, collecting);
    teacher_logits = TeacherLogits(input);
  }
  logits = Widened(logits);
  const torch::Tensor classes = targets.argmax(1);
  terms.accuracy = Accuracy(logits, classes);
  terms.total = optimization::SoftTargetCrossEntropy(logits, targets);
  if (teacher_logits.defined()) {
    const optimization::DistillationLoss loss = optimization::CombineDistillation(
        terms.total, logits, Widened(teacher_logits), distillation_);
    terms.total = loss.total;
    terms.cross_entropy = loss.cross_entropy;
    terms.distillation = loss.distillation;
    terms.teacher_accuracy = Accuracy(teacher_logits, classes);
  }
  const torch::Tensor auxiliary = models::WeightedSum(terms.added);
  if (auxiliary.defined()) terms.total = terms.total + auxiliary;
  // Modules have no regulariser, whole networks may have one; a classifier does not move it.
  if (kind_ == v1::TASK_KIND_FEW_SHOT) return terms;
  const models::AuxiliaryLoss penalty = network_->Regulariser(moment);
  if (!penalty.value.defined()) return terms;
  terms.total = terms.total + models::WeightedSum({penalty});
  terms.added.push_back(penalty);
  return terms;
}

std::vector<models::NamedTensor> Trainee::TrainedParameters() const {
  std::vector<models::NamedTensor> trained;
  for (models::NamedTensor& parameter : network_->Parameters()) {
    if (parameter.tensor.requires_grad()) trained.push_back(std::move(parameter));
  }
  return trained;
}

NamedTensors Trainee::State() const { return Copied(network_->State()); }

NamedTensors Trainee::RunState() const { return Copied(network_->RunState()); }

absl::Status Trainee::Restore(const NamedTensors& state, const NamedTensors& run_state) {
  DISTILL_RETURN_IF_ERROR(network_->Import(state, {}));
  return network_->ImportRunState(run_state);
}

TensorFile Trainee::Export() const {
  if (meta_ == nullptr) return ExportModel(*network_);
  return ExportModule(*network_, module_index_);
}

std::string Trainee::output_name() const {
  if (kind_ == v1::TASK_KIND_INCUBATE_TEACHER) return "stage";
  return kind_ == v1::TASK_KIND_DISTILL_MODULE ? "module" : "model";
}

int64_t Trainee::trained_parameter_count() const {
  int64_t count = 0;
  for (const models::NamedTensor& parameter : TrainedParameters()) {
    count += parameter.tensor.numel();
  }
  return count;
}

int64_t Trainee::parameter_count() const {
  int64_t count = models::CountParameters(*network_);
  if (teacher_ != nullptr) count += models::CountParameters(*teacher_);
  if (meta_ == nullptr) return count;
  for (int64_t s = 0; s < meta_->stage_count(); ++s) {
    if (s == module_index_) continue;
    count += models::CountParameters(models::StageNetwork(meta_->stages()[static_cast<size_t>(s)]));
  }
  return count;
}

}  // namespace distill::training
