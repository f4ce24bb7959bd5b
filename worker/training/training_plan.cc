#include "worker/training/training_plan.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "worker/optimization/schedule.h"

namespace distill::training {
namespace {

absl::Status Wrong(absl::string_view field, absl::string_view cause) {
  return absl::InvalidArgumentError(
      absl::StrCat("cannot plan training: recipe.", field, ": ", cause));
}

}  // namespace

absl::StatusOr<TrainingPlan> TrainingPlan::Create(const v1::TrainingRecipe& recipe,
                                                  int64_t training_images) {
  if (recipe.batch_size() < 1) return Wrong("batch_size", "must be at least 1");
  if (recipe.accumulate_steps() < 1) return Wrong("accumulate_steps", "must be at least 1");
  if (recipe.total_images() < 0) return Wrong("total_images", "must not be negative");
  if (training_images < recipe.batch_size()) {
    return Wrong("batch_size", absl::StrCat("is larger than the training set; batch_size=",
                                            recipe.batch_size(), " images=", training_images));
  }
  TrainingPlan plan(recipe);
  plan.batch_size_ = recipe.batch_size();
  plan.accumulate_steps_ = recipe.accumulate_steps();
  plan.batches_per_epoch_ = training_images / plan.batch_size_;
  plan.total_steps_ = recipe.total_images() / plan.images_per_step();
  if (recipe.total_images() > 0 && plan.total_steps_ == 0) {
    return Wrong("total_images",
                 absl::StrCat("is less than one step takes; total_images=", recipe.total_images(),
                              " images_per_step=", plan.images_per_step()));
  }
  return plan;
}

int64_t TrainingPlan::end_epoch() const {
  return total_steps_ == 0 ? 0 : EpochOf(FirstMicroBatch(total_steps_) - 1) + 1;
}

double TrainingPlan::steps_per_epoch() const {
  return static_cast<double>(batches_per_epoch_) / static_cast<double>(accumulate_steps_);
}

double TrainingPlan::Progress(int64_t step) const {
  const bool by_step = recipe_.schedule_unit() != v1::SCHEDULE_UNIT_EPOCH &&
                       recipe_.schedule_unit() != v1::SCHEDULE_UNIT_EPOCH_NAC;
  const int64_t done = by_step ? step : EpochOf(FirstMicroBatch(step));
  const int64_t all = by_step ? total_steps_ : end_epoch();
  return all == 0 ? 0.0 : static_cast<double>(done) / static_cast<double>(all);
}

double TrainingPlan::LearningRate(int64_t step) const {
  double scale = 1.0;
  if (recipe_.learning_rate_reference_batch() > 0) {
    scale = static_cast<double>(images_per_step()) / recipe_.learning_rate_reference_batch();
  }
  const double base = recipe_.learning_rate() * scale;
  const bool is_nac = recipe_.schedule_unit() == v1::SCHEDULE_UNIT_EPOCH_NAC;
  if (is_nac || recipe_.schedule_unit() == v1::SCHEDULE_UNIT_EPOCH) {
    optimization::EpochCosine schedule;
    schedule.is_exact = is_nac;
    schedule.base = base;
    schedule.warmup_start = recipe_.warmup_learning_rate();
    schedule.minimum = recipe_.min_learning_rate() * (is_nac ? scale : 1.0);
    schedule.epochs = std::max<int64_t>(1, end_epoch());
    schedule.warmup_epochs = std::llround(recipe_.warmup_epochs());
    return optimization::LearningRateOfEpoch(schedule, EpochOf(FirstMicroBatch(step)));
  }
  optimization::StepCosine schedule;
  schedule.base = base;
  schedule.warmup_start = recipe_.warmup_learning_rate();
  schedule.minimum = recipe_.min_learning_rate();
  schedule.steps = std::max<int64_t>(1, total_steps_);
  schedule.warmup_steps =
      std::min(schedule.steps,
               static_cast<int64_t>(std::llround(recipe_.warmup_epochs() * steps_per_epoch())));
  return optimization::LearningRateOfStep(schedule, step);
}

}  // namespace distill::training
