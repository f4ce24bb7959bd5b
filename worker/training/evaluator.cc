#include "worker/training/evaluator.h"

#include <torch/torch.h>

#include <cmath>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/corruption_names.h"
#include "base/status_macros.h"
#include "worker/data/batch_loader.h"
#include "worker/data/corruption.h"
#include "worker/data/subset.h"
#include "worker/models/hybrid.h"
#include "worker/training/batch_source.h"
#include "worker/training/model_builder.h"
#include "worker/training/trainee.h"

namespace distill::training {
namespace {

constexpr absl::Duration kProgressInterval = absl::Milliseconds(500);

// A loaded network as a function from images [B, C, H, W] to logits [B, K].
struct Subject {
  std::function<torch::Tensor(const torch::Tensor&, const models::ForwardContext&)> logits;
  int64_t parameters = 0;
};

int64_t CountParameters(const std::vector<models::VitStage>& stages) {
  int64_t count = 0;
  for (const models::VitStage& stage : stages) {
    if (stage.is_empty()) continue;
    for (const torch::Tensor& parameter : stage->parameters()) count += parameter.numel();
  }
  return count;
}

absl::StatusOr<Subject> LoadWholeModel(const v1::MemberAssignment& assignment,
                                       const std::vector<models::StageConfig>& stages) {
  const models::StagedModel model = BuildModel(stages);
  DISTILL_ASSIGN_OR_RETURN(const std::string path, InputPath(assignment, "model"));
  DISTILL_RETURN_IF_ERROR(LoadModel(path, model));
  return Subject{[model](const torch::Tensor& images, const models::ForwardContext& context) {
                   return model.Forward(images, context);
                 },
                 CountParameters(model.stages())};
}

absl::StatusOr<Subject> LoadHybrid(const v1::MemberAssignment& assignment,
                                   const models::StageConfig& config, absl::string_view input) {
  const v1::TaskSpec& spec = assignment.spec();
  const int64_t index = spec.module_index();
  models::VitStage module(config);
  DISTILL_ASSIGN_OR_RETURN(const std::string module_path, InputPath(assignment, input));
  DISTILL_RETURN_IF_ERROR(LoadStage(module_path, index, module));
  DISTILL_ASSIGN_OR_RETURN(const std::vector<models::StageConfig> stages, MetaStages(spec, 0));
  std::vector<bool> wanted(stages.size(), true);
  wanted[static_cast<size_t>(index)] = false;
  DISTILL_ASSIGN_OR_RETURN(const std::string meta_path, InputPath(assignment, "meta"));
  DISTILL_ASSIGN_OR_RETURN(const models::StagedModel meta,
                           LoadFrozenStages(stages, wanted, meta_path));
  return Subject{
      [meta, module, index](const torch::Tensor& images, const models::ForwardContext& context) {
        return models::HybridLogits(meta, index, module,
                                    models::PrefixOutput(meta, index, images, context), context);
      },
      CountParameters(meta.stages()) + CountParameters({module})};
}

absl::StatusOr<Subject> LoadSubject(const v1::MemberAssignment& assignment) {
  const v1::TaskSpec& spec = assignment.spec();
  switch (spec.subject()) {
    case v1::EVALUATION_SUBJECT_META: {
      DISTILL_ASSIGN_OR_RETURN(const auto stages, MetaStages(spec, 0));
      return LoadWholeModel(assignment, stages);
    }
    case v1::EVALUATION_SUBJECT_TEACHER: {
      DISTILL_ASSIGN_OR_RETURN(const auto stages, TeacherStages(spec, 0));
      return LoadWholeModel(assignment, stages);
    }
    case v1::EVALUATION_SUBJECT_STUDENT: {
      DISTILL_ASSIGN_OR_RETURN(const auto stages, StudentStages(spec, 0));
      return LoadWholeModel(assignment, stages);
    }
    case v1::EVALUATION_SUBJECT_TEACHER_HYBRID: {
      DISTILL_ASSIGN_OR_RETURN(const models::StageConfig stage, IncubatedStage(spec, 0));
      return LoadHybrid(assignment, stage, "teacher_stage");
    }
    case v1::EVALUATION_SUBJECT_STUDENT_HYBRID: {
      DISTILL_ASSIGN_OR_RETURN(const models::StageConfig stage, StudentModule(spec, 0));
      return LoadHybrid(assignment, stage, "module");
    }
    default:
      return absl::InvalidArgumentError(absl::StrCat("cannot evaluate: unknown subject; subject=",
                                                     static_cast<int>(spec.subject())));
  }
}

// What one pass over a data set gives.
struct Score {
  int64_t images = 0;
  int64_t correct = 0;
  double loss_sum = 0;
  std::vector<models::ExpertLoad> expert_loads;  // one per mixture

  double accuracy() const {
    return images == 0 ? 0 : static_cast<double>(correct) / static_cast<double>(images);
  }
};

// Scores data sets with one subject, one after the other. One thread.
class Scorer {
 public:
  Scorer(const v1::MemberAssignment& assignment, const TrainingEnvironment& environment,
         Subject subject, data::TransformConfig transform, int64_t total_images)
      : assignment_(assignment),
        environment_(environment),
        subject_(std::move(subject)),
        transform_(std::move(transform)),
        total_images_(total_images),
        last_progress_(environment.clock.Now()) {}

  absl::StatusOr<Score> Run(std::shared_ptr<const data::Dataset> images) {
    const torch::NoGradGuard no_gradient;
    const data::ImageShape shape = images->shape();
    data::LoaderConfig config;
    config.batch_size = assignment_.spec().evaluation().batch_size();
    config.last_batch = data::LastBatch::kKeep;
    config.sampler.kind = data::SamplerKind::kSequential;
    config.transform = transform_;
    DISTILL_ASSIGN_OR_RETURN(
        const std::unique_ptr<data::BatchLoader> loader,
        data::BatchLoader::Create(std::move(images), config, environment_.clock));
    Score score;
    while (true) {
      DISTILL_RETURN_IF_ERROR(CheckGoingOn());
      DISTILL_ASSIGN_OR_RETURN(std::optional<data::Batch> batch, loader->Next());
      if (!batch.has_value()) return score;
      Add(*batch, shape, &score);
      ReportProgress(static_cast<int64_t>(batch->labels.size()));
      loader->Recycle(*std::move(batch));
    }
  }

 private:
  absl::Status CheckGoingOn() {
    if (environment_.observer.IsCancelled(assignment_.member()) ||
        environment_.observer.IsStopRequested()) {
      return absl::CancelledError("evaluation was stopped");
    }
    return absl::OkStatus();
  }

  void Add(data::Batch& batch, const data::ImageShape& shape, Score* score) const {
    const auto size = static_cast<int64_t>(batch.labels.size());
    const torch::Tensor images =
        torch::from_blob(batch.values.data(), {size, shape.channels, shape.height, shape.width});
    const torch::Tensor labels = torch::from_blob(batch.labels.data(), {size}, torch::kInt64);
    std::vector<models::ExpertLoad> loads;
    models::ForwardContext context;
    context.expert_loads = &loads;
    const torch::Tensor logits = subject_.logits(images, context).to(torch::kFloat64);
    score->images += size;
    score->correct += (logits.argmax(1) == labels).sum().item<int64_t>();
    score->loss_sum -= logits.log_softmax(1).gather(1, labels.unsqueeze(1)).sum().item<double>();
    models::AddExpertLoads(loads, &score->expert_loads);
  }

  void ReportProgress(int64_t images) {
    images_done_ += images;
    images_since_report_ += images;
    const MonotonicTime now = environment_.clock.Now();
    const double seconds = absl::ToDoubleSeconds(now - last_progress_);
    if (now - last_progress_ < kProgressInterval) return;
    v1::MemberProgress report;
    report.set_member(assignment_.member());
    report.set_started(true);
    v1::Progress& progress = *report.mutable_progress();
    progress.set_phase("evaluating");
    progress.set_step(images_done_);
    progress.set_total_steps(total_images_);
    progress.set_images_seen(images_done_);
    progress.set_loss(std::nan(""));
    const double speed = static_cast<double>(images_since_report_) / seconds;
    progress.set_images_per_second(speed);
    progress.set_eta_seconds(static_cast<double>(total_images_ - images_done_) / speed);
    environment_.observer.OnProgress(report);
    last_progress_ = now;
    images_since_report_ = 0;
  }

  const v1::MemberAssignment& assignment_;
  const TrainingEnvironment& environment_;
  const Subject subject_;
  const data::TransformConfig transform_;
  const int64_t total_images_;
  int64_t images_done_ = 0;
  int64_t images_since_report_ = 0;
  MonotonicTime last_progress_;
};

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

void SetExpertLoad(const Score& score, v1::RouterKind router, v1::EvaluationResult* result) {
  const bool is_reference =
      router == v1::ROUTER_KIND_UNSPECIFIED || router == v1::ROUTER_KIND_TOP_K;
  for (const models::ExpertLoad& load : score.expert_loads) {
    result->set_experts(static_cast<int>(load.tokens.size()));
    for (const double share : models::TokenShares(load)) result->add_expert_load(share);
    if (is_reference) continue;
    for (const double share : models::ImportanceShares(load)) result->add_expert_importance(share);
    result->add_expert_dropped(models::DroppedShare(load));
  }
}

double Rounded(double value) { return std::round(value * 1e8) / 1e8; }

}  // namespace

absl::StatusOr<v1::EvaluationResult> Evaluate(const v1::MemberAssignment& assignment,
                                              const TrainingEnvironment& environment) {
  const v1::EvaluationSpec& spec = assignment.spec().evaluation();
  DISTILL_ASSIGN_OR_RETURN(Subject subject, LoadSubject(assignment));
  DISTILL_ASSIGN_OR_RETURN(const std::shared_ptr<const ImageSets> sets,
                           environment.images.Open(assignment.spec().dataset()));
  absl::Status parsed;
  const std::vector<data::CorruptionSpec> corruptions = CorruptionsOf(spec, &parsed);
  DISTILL_RETURN_IF_ERROR(parsed);
  const int64_t subset_size =
      spec.corruption_images() == 0 ? sets->test->size() : spec.corruption_images();
  v1::EvaluationResult result;
  result.set_parameters(subject.parameters);
  Scorer scorer(assignment, environment, std::move(subject), Normalization(*sets),
                sets->test->size() + subset_size * static_cast<int64_t>(corruptions.size()));

  DISTILL_ASSIGN_OR_RETURN(const Score clean, scorer.Run(sets->test));
  result.set_accuracy(clean.accuracy());
  result.set_loss(clean.loss_sum / static_cast<double>(clean.images));
  result.set_images(clean.images);
  SetExpertLoad(clean, assignment.spec().student().vmoe().router().kind(), &result);

  double accuracy_sum = 0;
  for (const data::CorruptionSpec& corruption : corruptions) {
    // Corrupts the whole and then chooses, so that an image is spoilt alike in any subset.
    DISTILL_ASSIGN_OR_RETURN(std::shared_ptr<const data::Dataset> spoilt,
                             data::CorruptedDataset::Create(sets->test, corruption));
    data::SubsetSpec subset;
    subset.rule = data::SubsetRule::kStratified;
    subset.count = spec.corruption_images();
    subset.seed = spec.seed();
    DISTILL_ASSIGN_OR_RETURN(std::shared_ptr<const data::Dataset> chosen,
                             data::SubsetDataset::Create(std::move(spoilt), subset));
    DISTILL_ASSIGN_OR_RETURN(const Score score, scorer.Run(std::move(chosen)));
    v1::EvaluationResult::Corruption& entry = *result.add_corruptions();
    entry.set_name(std::string(data::CorruptionName(corruption.kind)));
    entry.set_severity(corruption.severity);
    entry.set_accuracy(score.accuracy());
    entry.set_images(score.images);
    accuracy_sum += score.accuracy();
  }
  if (!corruptions.empty()) {
    result.set_corruption_accuracy_mean(accuracy_sum / static_cast<double>(corruptions.size()));
  }
  return result;
}

std::string CanonicalJson(const v1::EvaluationResult& result) {
  nlohmann::json corruptions = nlohmann::json::array();
  for (const v1::EvaluationResult::Corruption& corruption : result.corruptions()) {
    corruptions.push_back({{"accuracy", Rounded(corruption.accuracy())},
                           {"images", corruption.images()},
                           {"name", corruption.name()},
                           {"severity", corruption.severity()}});
  }
  nlohmann::json expert_load = nlohmann::json::array();
  for (const double load : result.expert_load()) expert_load.push_back(Rounded(load));
  nlohmann::json json = {{"accuracy", Rounded(result.accuracy())},
                         {"corruptionAccuracyMean", Rounded(result.corruption_accuracy_mean())},
                         {"corruptions", corruptions},
                         {"expertLoad", expert_load},
                         {"experts", result.experts()},
                         {"images", result.images()},
                         {"loss", Rounded(result.loss())},
                         {"parameters", result.parameters()}};
  // Metrics of networks without these keep their bytes.
  for (const double share : result.expert_importance()) {
    json["expertImportance"].push_back(Rounded(share));
  }
  for (const double share : result.expert_dropped())
    json["expertDropped"].push_back(Rounded(share));
  return json.dump() + "\n";
}

}  // namespace distill::training
