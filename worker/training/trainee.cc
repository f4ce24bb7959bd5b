#include "worker/training/trainee.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/counter_random.h"
#include "base/status_macros.h"
#include "worker/training/model_builder.h"

namespace distill::training {
namespace {

// First weights of a whole model are those of module 0's stream: a whole model is one module.
CounterRandom InitializationRandom(const v1::TaskSpec& spec) {
  return CounterRandom(spec.seed())
      .Stream("init")
      .Stream(static_cast<uint64_t>(spec.module_index()));
}

absl::StatusOr<models::StagedModel> BuildWholeModel(const v1::TaskSpec& spec) {
  const double drop_path = spec.recipe().drop_path();
  switch (spec.kind()) {
    case v1::TASK_KIND_PRETRAIN_META: {
      DISTILL_ASSIGN_OR_RETURN(const auto stages, MetaStages(spec, drop_path));
      return BuildModel(stages);
    }
    case v1::TASK_KIND_FINETUNE_TEACHER: {
      DISTILL_ASSIGN_OR_RETURN(const auto stages, TeacherStages(spec, drop_path));
      return BuildModel(stages);
    }
    default: {
      DISTILL_ASSIGN_OR_RETURN(const auto stages, StudentStages(spec, drop_path));
      return BuildModel(stages);
    }
  }
}

bool StartsFromModel(v1::TaskKind kind) {
  return kind == v1::TASK_KIND_FINETUNE_TEACHER || kind == v1::TASK_KIND_FINETUNE_STUDENT;
}

absl::StatusOr<models::VitStage> LoadTeacher(const v1::MemberAssignment& assignment) {
  const v1::TaskSpec& spec = assignment.spec();
  DISTILL_ASSIGN_OR_RETURN(const models::StageConfig config, IncubatedStage(spec, 0));
  models::VitStage teacher(config);
  DISTILL_ASSIGN_OR_RETURN(const std::string path, InputPath(assignment, "teacher_stage"));
  DISTILL_RETURN_IF_ERROR(LoadStage(path, spec.module_index(), teacher));
  models::Freeze(teacher);
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

int64_t CountElements(const models::VitStage& stage) {
  int64_t count = 0;
  if (stage.is_empty()) return count;
  for (const torch::Tensor& parameter : stage->parameters()) count += parameter.numel();
  return count;
}

}  // namespace

bool IsTraining(v1::TaskKind kind) {
  return kind == v1::TASK_KIND_PRETRAIN_META || kind == v1::TASK_KIND_FINETUNE_TEACHER ||
         kind == v1::TASK_KIND_FINETUNE_STUDENT || kind == v1::TASK_KIND_TRAIN_BASELINE ||
         IsHybrid(kind);
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
                                        std::shared_ptr<const models::StagedModel> meta) {
  const v1::TaskSpec& spec = assignment.spec();
  Trainee trainee;
  trainee.kind_ = spec.kind();
  const models::ExpertInitialization experts = ExpertInitializationOf(spec.student());
  if (!IsHybrid(spec.kind())) {
    DISTILL_ASSIGN_OR_RETURN(trainee.model_, BuildWholeModel(spec));
    if (StartsFromModel(spec.kind())) {
      DISTILL_ASSIGN_OR_RETURN(const std::string path, InputPath(assignment, "model"));
      DISTILL_RETURN_IF_ERROR(LoadModel(path, trainee.model_));
    } else {
      models::Initialize(trainee.model_, InitializationRandom(spec), experts);
    }
    return trainee;
  }
  DISTILL_CHECK(meta != nullptr, "a hybrid has a meta model");
  trainee.meta_ = std::move(meta);
  trainee.module_index_ = spec.module_index();
  const bool is_incubation = spec.kind() == v1::TASK_KIND_INCUBATE_TEACHER;
  DISTILL_ASSIGN_OR_RETURN(const models::StageConfig config,
                           is_incubation ? IncubatedStage(spec, spec.recipe().drop_path())
                                         : StudentModule(spec, spec.recipe().drop_path()));
  models::VitStage module(config);
  models::Initialize(module, InitializationRandom(spec), experts);
  trainee.model_ = models::StagedModel({module});
  if (!is_incubation) {
    DISTILL_ASSIGN_OR_RETURN(trainee.teacher_, LoadTeacher(assignment));
    trainee.distillation_ = DistillationOf(spec.distillation());
  }
  return trainee;
}

LossTerms Trainee::Loss(const torch::Tensor& input, const torch::Tensor& targets,
                        const models::ForwardContext& context) const {
  LossTerms terms;
  if (meta_ == nullptr) {
    terms.total = optimization::SoftTargetCrossEntropy(model_.Forward(input, context), targets);
    return terms;
  }
  const torch::Tensor logits =
      models::HybridLogits(*meta_, module_index_, model_.stages().front(), input, context);
  const torch::Tensor cross_entropy = optimization::SoftTargetCrossEntropy(logits, targets);
  if (teacher_.is_empty()) {
    terms.total = cross_entropy;
    return terms;
  }
  const torch::Tensor teacher_logits =
      models::TeacherLogits(*meta_, module_index_, teacher_, input);
  const optimization::DistillationLoss loss =
      optimization::CombineDistillation(cross_entropy, logits, teacher_logits, distillation_);
  terms.total = loss.total;
  terms.cross_entropy = loss.cross_entropy;
  terms.distillation = loss.distillation;
  return terms;
}

std::vector<models::NamedTensor> Trainee::TrainedParameters() const {
  // The registered parameters themselves: their gradients are what the optimiser reads.
  std::vector<models::NamedTensor> parameters;
  for (size_t s = 0; s < model_.stages().size(); ++s) {
    for (const auto& entry : model_.stages()[s]->named_parameters()) {
      const std::string name =
          meta_ == nullptr ? models::WholeName(static_cast<int64_t>(s), entry.key()) : entry.key();
      parameters.push_back({name, entry.value()});
    }
  }
  return parameters;
}

absl::Status Trainee::Restore(const NamedTensors& parameters) {
  if (meta_ == nullptr) return models::ImportState(model_, parameters);
  return models::ImportState(model_.stages().front(), parameters);
}

TensorFile Trainee::Export() const {
  if (meta_ == nullptr) return ExportModel(model_);
  return ExportStage(model_.stages().front(), module_index_);
}

std::string Trainee::output_name() const {
  if (kind_ == v1::TASK_KIND_INCUBATE_TEACHER) return "stage";
  return kind_ == v1::TASK_KIND_DISTILL_MODULE ? "module" : "model";
}

int64_t Trainee::trained_parameter_count() const {
  int64_t count = 0;
  for (const models::VitStage& stage : model_.stages()) count += CountElements(stage);
  return count;
}

int64_t Trainee::parameter_count() const {
  int64_t count = trained_parameter_count() + CountElements(teacher_);
  if (meta_ == nullptr) return count;
  for (int64_t s = 0; s < meta_->stage_count(); ++s) {
    if (s != module_index_) count += CountElements(meta_->stages()[static_cast<size_t>(s)]);
  }
  return count;
}

}  // namespace distill::training
