#include "worker/training/member_run.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/counter_random.h"
#include "base/file.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "worker/optimization/adamw.h"
#include "worker/optimization/sgd.h"
#include "worker/training/resource_usage.h"
#include "worker/training/tensor_file.h"

namespace distill::training {
namespace {

void SetDecay(const v1::TrainingRecipe& recipe, optimization::DecayConfig* config) {
  config->weight_decay = recipe.weight_decay();
  if (recipe.decay_all_parameters()) config->rule = optimization::DecayRule::kAll;
}

std::unique_ptr<optimization::Optimizer> MakeOptimizer(
    const v1::TrainingRecipe& recipe, std::vector<models::NamedTensor> parameters) {
  if (recipe.optimizer() == v1::OPTIMIZER_KIND_SGD) {
    optimization::SgdConfig config;
    SetDecay(recipe, &config);
    config.momentum = recipe.momentum();
    return std::make_unique<optimization::Sgd>(std::move(parameters), config);
  }
  optimization::AdamWConfig config;
  SetDecay(recipe, &config);
  config.beta1 = recipe.beta1();
  config.beta2 = recipe.beta2();
  config.epsilon = recipe.epsilon();
  return std::make_unique<optimization::AdamW>(std::move(parameters), config);
}

double ValueOf(const torch::Tensor& scalar) {
  return scalar.defined() ? scalar.item<double>() : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

absl::StatusOr<std::unique_ptr<MemberRun>> MemberRun::Create(
    const v1::MemberAssignment& assignment, std::shared_ptr<const models::StagedModel> meta,
    const TrainingPlan& plan, const std::optional<Checkpoint>& checkpoint, const Clock& clock,
    CheckpointWriter& writer, const torch::Device& device) {
  DISTILL_ASSIGN_OR_RETURN(Trainee trainee, Trainee::Create(assignment, std::move(meta), device));
  std::unique_ptr<MemberRun> run(
      new MemberRun(assignment, std::move(trainee), plan, clock, writer));
  if (checkpoint.has_value()) DISTILL_RETURN_IF_ERROR(run->Resume(*checkpoint));
  return run;
}

MemberRun::MemberRun(const v1::MemberAssignment& assignment, Trainee trainee,
                     const TrainingPlan& plan, const Clock& clock, CheckpointWriter& writer)
    : assignment_(assignment),
      plan_(plan),
      clock_(clock),
      writer_(writer),
      fingerprint_(FingerprintOf(assignment.spec())),
      trainee_(std::move(trainee)),
      optimizer_(MakeOptimizer(assignment.spec().recipe(), trainee_.TrainedParameters())),
      series_(plan.total_steps()),
      checkpoint_policy_(absl::Seconds(assignment.spec().checkpoint_interval_seconds()),
                         clock.Now()),
      place_(PlaceOf(assignment)),
      last_progress_(clock.Now()) {
  const v1::TrainingRecipe& recipe = assignment.spec().recipe();
  if (recipe.precision() == v1::PRECISION_FLOAT16) loss_scaler_.emplace();
  if (recipe.ema_decay() > 0) average_.emplace(trainee_.TrainedParameters(), recipe.ema_decay());
}

absl::Status MemberRun::Resume(const Checkpoint& checkpoint) {
  if (checkpoint.step > plan_.total_steps()) {
    return absl::DataLossError(absl::StrCat("cannot resume: checkpoint is beyond the last step; ",
                                            "step=", checkpoint.step,
                                            " steps=", plan_.total_steps()));
  }
  absl::Status status = trainee_.Restore(checkpoint.parameters, checkpoint.network_run);
  if (status.ok()) status = optimizer_->ImportState(checkpoint.optimizer);
  if (status.ok() && average_.has_value()) status = average_->ImportState(checkpoint.average);
  if (status.ok() && loss_scaler_.has_value()) {
    status = loss_scaler_->ImportState(checkpoint.loss_scaler);
  }
  if (!status.ok()) {
    return absl::DataLossError(absl::StrCat("cannot resume: ", status.message()));
  }
  series_.Restore(checkpoint.series);
  first_step_ = steps_done_ = last_checkpoint_step_ = checkpoint.step;
  earlier_cpu_seconds_ = checkpoint.cpu_seconds;
  earlier_images_ = checkpoint.images_seen;
  return absl::OkStatus();
}

void MemberRun::JoinGang(std::unique_ptr<GradientReducer> reducer) {
  DISTILL_CHECK(!place_.is_alone(), "a gang has several ranks");
  reducer_ = std::move(reducer);
}

absl::Status MemberRun::Accumulate(const torch::Tensor& input, const torch::Tensor& targets) {
  const double cpu_before = ThreadCpuSeconds();
  const v1::TaskSpec& spec = assignment_.spec();
  models::ForwardContext context;
  context.training = true;
  context.first_image = place_.FirstRow(plan_.batch_size());
  context.random =
      CounterRandom(spec.seed())
          .Stream("dropout")
          .Stream(static_cast<uint64_t>(spec.module_index()))
          .Stream(static_cast<uint64_t>(plan_.FirstMicroBatch(steps_done_) + micro_batches_));
  const LossTerms terms =
      trainee_.Loss(input, targets, context, {steps_done_, plan_.Progress(steps_done_)});
  const double share = 1.0 / static_cast<double>(plan_.micro_batches_per_step());
  step_.loss += share * ValueOf(terms.total);
  step_.cross_entropy += share * ValueOf(terms.cross_entropy);
  step_.distillation += share * ValueOf(terms.distillation);
  step_.accuracy += share * ValueOf(terms.accuracy);
  step_.teacher_accuracy += share * ValueOf(terms.teacher_accuracy);
  for (const auto& [name, loss] : models::SumByName(terms.added)) {
    models::NamedLoss& sum = step_.added[name];
    sum.value += share * loss.value;
    sum.weight = loss.weight;
  }
  step_.images += targets.size(0);
  ++micro_batches_;
  // A gang's loss is known when the step ends, to all ranks alike.
  if (reducer_ == nullptr) DISTILL_RETURN_IF_ERROR(CheckFinite(step_.loss));
  if (reducer_ != nullptr && micro_batches_ == plan_.micro_batches_per_step()) {
    reducer_->BeginLastPass();
  }
  const double factor = loss_scaler_.has_value() ? share * loss_scaler_->scale() : share;
  (factor == 1.0 ? terms.total : terms.total * factor).backward();
  cpu_seconds_ += ThreadCpuSeconds() - cpu_before;
  return absl::OkStatus();
}

absl::Status MemberRun::CheckFinite(double loss) {
  if (std::isfinite(loss)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "cannot train: loss is not finite; lower recipe.learning_rate or set recipe.clip_grad_norm; ",
      "step=", steps_done_ + 1, " loss=", loss, " last_finite_loss=",
      last_finite_loss_.has_value() ? absl::StrCat(*last_finite_loss_) : "none"));
}

absl::Status MemberRun::FinishStep() {
  const double cpu_before = ThreadCpuSeconds();
  step_.learning_rate = plan_.LearningRate(steps_done_);
  if (reducer_ != nullptr) DISTILL_RETURN_IF_ERROR(ReduceStep());
  UpdateParameters();
  step_.step = ++steps_done_;
  last_finite_loss_ = step_.loss;

  const absl::Duration now = clock_.Now().since_start;
  if (std::optional<v1::Series::Point> point = series_.Add(step_, absl::ToDoubleSeconds(now))) {
    if (place_.is_first()) *pending_.add_points() = *std::move(point);
  }
  progress_loss_sum_ += step_.loss;
  ++progress_steps_;
  step_ = StepRecord();
  micro_batches_ = 0;
  cpu_seconds_ += ThreadCpuSeconds() - cpu_before;
  return absl::OkStatus();
}

absl::Status MemberRun::ReduceStep() {
  DISTILL_RETURN_IF_ERROR(reducer_->FinishStep());
  std::vector<double> values = {step_.loss,
                                step_.cross_entropy,
                                step_.distillation,
                                step_.accuracy,
                                step_.teacher_accuracy,
                                cpu_seconds_,
                                wishes_to_stop_ ? 1.0 : 0.0};
  const size_t terms = values.size();
  for (const auto& [name, loss] : step_.added) values.push_back(loss.value);
  DISTILL_ASSIGN_OR_RETURN(const std::vector<double> sums, reducer_->Sum(values));
  const auto ranks = static_cast<double>(place_.size);
  step_.loss = sums[0] / ranks;
  step_.cross_entropy = sums[1] / ranks;
  step_.distillation = sums[2] / ranks;
  step_.accuracy = sums[3] / ranks;
  step_.teacher_accuracy = sums[4] / ranks;
  others_cpu_seconds_ = sums[5] - cpu_seconds_;
  stop_agreed_ = sums[6] > 0;
  size_t i = terms;
  for (auto& [name, loss] : step_.added) loss.value = sums[i++] / ranks;
  step_.images = plan_.images_per_step();
  return CheckFinite(step_.loss);
}

void MemberRun::UpdateParameters() {
  bool is_good = true;
  if (loss_scaler_.has_value()) {
    is_good = optimizer_->ScaleGradients(1.0 / loss_scaler_->scale());
    loss_scaler_->Update(is_good);
  }
  if (is_good) {
    const double clip = assignment_.spec().recipe().clip_grad_norm();
    if (clip > 0) optimizer_->ClipGradients(clip);
    optimizer_->Step(step_.learning_rate);
    if (average_.has_value()) average_->Update();
  }
  optimizer_->ZeroGradients();
}

void MemberRun::TakeAverage() {
  if (average_.has_value()) average_->Exchange();
}

void MemberRun::MaybeCheckpoint() {
  if (steps_done_ == plan_.total_steps()) return;  // The result is about to be written.
  if (!checkpoint_policy_.IsDue(clock_.Now()) || writer_.IsBusy()) return;
  CheckpointNow();
}

void MemberRun::CheckpointNow() {
  if (!place_.is_first() || steps_done_ == last_checkpoint_step_) return;
  checkpoint_policy_.Begin(clock_.Now());
  const double cpu_before = ThreadCpuSeconds();
  Checkpoint checkpoint;
  checkpoint.fingerprint = fingerprint_;
  checkpoint.step = steps_done_;
  checkpoint.cpu_seconds = earlier_cpu_seconds_ + cpu_seconds_ + others_cpu_seconds_;
  checkpoint.images_seen = earlier_images_ + (steps_done_ - first_step_) * plan_.images_per_step();
  checkpoint.parameters = trainee_.State();
  checkpoint.network_run = trainee_.RunState();
  checkpoint.optimizer = models::ToMap(optimizer_->ExportState());
  if (average_.has_value()) checkpoint.average = models::ToMap(average_->ExportState());
  if (loss_scaler_.has_value()) {
    checkpoint.loss_scaler = models::ToMap(loss_scaler_->ExportState());
  }
  checkpoint.series = series_.series();
  writer_.Submit(name(), assignment_.output_directory(), std::move(checkpoint));
  last_checkpoint_step_ = steps_done_;
  checkpoint_policy_.ObserveCost(absl::Seconds(ThreadCpuSeconds() - cpu_before) +
                                 writer_.last_cost());
}

std::optional<v1::MemberProgress> MemberRun::TakeProgress(absl::Duration time_waited,
                                                          absl::Duration interval) {
  const MonotonicTime now = clock_.Now();
  const absl::Duration elapsed = now - last_progress_;
  if (elapsed < interval) return std::nullopt;
  v1::MemberProgress report = std::exchange(pending_, v1::MemberProgress());
  report.set_member(name());
  report.set_started(true);
  v1::Progress& progress = *report.mutable_progress();
  progress.set_step(steps_done_);
  progress.set_total_steps(plan_.total_steps());
  progress.set_phase("training");
  progress.set_images_seen(earlier_images_ + (steps_done_ - first_step_) * plan_.images_per_step());
  progress.set_loss(progress_steps_ == 0
                        ? std::numeric_limits<double>::quiet_NaN()
                        : progress_loss_sum_ / static_cast<double>(progress_steps_));
  const double seconds = absl::ToDoubleSeconds(elapsed);
  const double steps_per_second = seconds > 0 ? static_cast<double>(progress_steps_) / seconds : 0;
  progress.set_images_per_second(steps_per_second *
                                 static_cast<double>(place_.Rows(plan_.images_per_step())));
  progress.set_eta_seconds(steps_per_second > 0
                               ? static_cast<double>(plan_.total_steps() - steps_done_) /
                                     steps_per_second
                               : -1);
  progress.set_data_wait_ratio(
      seconds > 0 ? std::min(1.0, absl::ToDoubleSeconds(time_waited - last_time_waited_) / seconds)
                  : 0);
  last_progress_ = now;
  last_time_waited_ = time_waited;
  progress_loss_sum_ = 0;
  progress_steps_ = 0;
  return report;
}

absl::StatusOr<v1::ProducedFile> MemberRun::WriteResult() const {
  const TensorFile file = trainee_.Export();
  for (const auto& [tensor_name, tensor] : file.tensors) {
    if (torch::isfinite(tensor).all().item<bool>()) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot train: weights are not finite after the last step; lower recipe.learning_rate; ",
        "tensor=", tensor_name, " step=", steps_done_));
  }
  v1::ProducedFile produced;
  produced.set_name(trainee_.output_name());
  produced.set_path(JoinPath(assignment_.output_directory(),
                             absl::StrCat(trainee_.output_name(), ".safetensors")));
  DISTILL_RETURN_IF_ERROR(WriteTensorFile(produced.path(), file));
  return produced;
}

absl::StatusOr<std::optional<v1::ProducedFile>> MemberRun::WriteSeries() const {
  if (!place_.is_first() || series_.series().points().empty())
    return std::optional<v1::ProducedFile>();
  v1::ProducedFile produced;
  produced.set_name("series");
  produced.set_path(JoinPath(assignment_.output_directory(), "series.pb"));
  DISTILL_RETURN_IF_ERROR(
      WriteFileAtomically(produced.path(), series_.series().SerializeAsString()));
  return std::optional<v1::ProducedFile>(produced);
}

v1::AttemptStats MemberRun::Stats(MonotonicTime start) const {
  v1::AttemptStats stats;
  stats.set_wall_seconds(absl::ToDoubleSeconds(clock_.Now() - start));
  stats.set_cpu_seconds(cpu_seconds_);
  stats.set_peak_memory_bytes(PeakResidentBytes());
  stats.set_images_seen(place_.Rows((steps_done_ - first_step_) * plan_.images_per_step()));
  stats.set_resumed_from_step(first_step_);
  stats.set_total_training_cpu_seconds(earlier_cpu_seconds_ + cpu_seconds_ + others_cpu_seconds_);
  stats.set_parameters(trainee_.parameter_count());
  stats.set_trained_parameters(trainee_.trained_parameter_count());
  return stats;
}

}  // namespace distill::training
