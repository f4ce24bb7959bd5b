// Learning rates as pure functions of the epoch or the step, and weights of loss terms as functions
// of how much of a training is done.
#pragma once

#include <cstdint>

namespace distill::optimization {

// lr * images per optimiser step / 512, as the reference scales the rate of every phase but
// few-shot training. Warm-up and minimum rates are not scaled.
double ScaledLearningRate(double lr, int64_t images_per_step);

// Cosine decay stepped once per epoch.
struct EpochCosine {
  double base = 5e-4;
  double warmup_start = 1e-6;
  double minimum = 1e-5;
  int64_t epochs = 1;
  int64_t warmup_epochs = 0;
  // Epoch e uses f(e), as the reference's NAC trainer does; otherwise as said below.
  bool is_exact = false;
};

// The rate of epoch e as the reference uses it: f(e - 1), and for epoch 0 the first value again,
// where
//   f(t) = warmup_start + t (base - warmup_start) / warmup_epochs   for t < warmup_epochs,
//   f(t) = minimum + (base - minimum) (1 + cos(pi t / epochs)) / 2  before `epochs`, minimum after.
double LearningRateOfEpoch(const EpochCosine& schedule, int64_t epoch);

// Cosine decay stepped every optimiser step, which short runs need.
struct StepCosine {
  double base = 5e-4;
  double warmup_start = 1e-6;
  double minimum = 1e-5;
  int64_t steps = 1;
  int64_t warmup_steps = 0;
};

// The rate of step s, counted from 0: rises linearly from warmup_start, reaches base at step
// warmup_steps, and falls along half a cosine to minimum at step `steps`; minimum after.
double LearningRateOfStep(const StepCosine& schedule, int64_t step);

enum class WeightCurve { kConstant, kLinear, kCosine };

// A weight that goes from `first` to `last` over a training.
struct WeightSchedule {
  WeightCurve curve = WeightCurve::kConstant;
  double first = 1.0;
  double last = 0.0;  // Not looked at by kConstant.
};

// The weight when the share `progress` of the training, 0 to 1, is done:
//   constant  first
//   linear    first + (last - first) progress
//   cosine    last + (first - last) (1 + cos(pi progress)) / 2
double WeightAt(const WeightSchedule& schedule, double progress);

}  // namespace distill::optimization
