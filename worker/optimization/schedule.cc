// Cosine and linear schedules.
#include "worker/optimization/schedule.h"

#include <algorithm>
#include <cmath>

namespace distill::optimization {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kReferenceImagesPerStep = 512.0;

double Cosine(double base, double minimum, double progress) {
  return minimum + 0.5 * (base - minimum) * (1.0 + std::cos(kPi * progress));
}

double Ramp(double from, double to, int64_t at, int64_t length) {
  return from + static_cast<double>(at) * (to - from) / static_cast<double>(length);
}

}  // namespace

double ScaledLearningRate(double lr, int64_t images_per_step) {
  return lr * static_cast<double>(images_per_step) / kReferenceImagesPerStep;
}

double LearningRateOfEpoch(const EpochCosine& schedule, int64_t epoch) {
  const int64_t t = schedule.is_exact ? epoch : std::max<int64_t>(epoch - 1, 0);
  if (t < schedule.warmup_epochs) {
    return Ramp(schedule.warmup_start, schedule.base, t, schedule.warmup_epochs);
  }
  if (t >= schedule.epochs) return schedule.minimum;
  return Cosine(schedule.base, schedule.minimum,
                static_cast<double>(t) / static_cast<double>(schedule.epochs));
}

double LearningRateOfStep(const StepCosine& schedule, int64_t step) {
  if (step < schedule.warmup_steps) {
    return Ramp(schedule.warmup_start, schedule.base, step, schedule.warmup_steps);
  }
  if (step >= schedule.steps) return schedule.minimum;
  return Cosine(schedule.base, schedule.minimum,
                static_cast<double>(step - schedule.warmup_steps) /
                    static_cast<double>(schedule.steps - schedule.warmup_steps));
}

double WeightAt(const WeightSchedule& schedule, double progress) {
  switch (schedule.curve) {
    case WeightCurve::kLinear:
      return schedule.first + (schedule.last - schedule.first) * progress;
    case WeightCurve::kCosine:
      return Cosine(schedule.first, schedule.last, progress);
    default:
      return schedule.first;
  }
}

}  // namespace distill::optimization
