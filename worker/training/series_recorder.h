// Thins a run's training curve to at most 2,000 points. Which steps have a point is a function of
// the length of the run alone, so that a repeated attempt overwrites the points of the one before.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "distill/v1/report.pb.h"
#include "worker/models/auxiliary_loss.h"

namespace distill::training {

inline constexpr int64_t kMostSeriesPoints = 2000;

// One optimiser step.
struct StepRecord {
  int64_t step = 0;  // Steps done, this one included.
  int64_t images = 0;
  double loss = 0;
  double learning_rate = 0;
  // The two terms of a distillation loss; NaN otherwise.
  double cross_entropy = 0;
  double distillation = 0;
  // Shares of images classified correctly; the teacher's is NaN without one.
  double accuracy = 0;
  double teacher_accuracy = 0;
  // What layers and regularisers add to the loss.
  std::map<std::string, models::NamedLoss> added;
};

// One thread.
class SeriesRecorder {
 public:
  // total_steps >= 0.
  explicit SeriesRecorder(int64_t total_steps);

  // Takes the points of an earlier attempt, up to the step at which this one starts.
  void Restore(const v1::Series& series);

  // Returns the point that ends with this step, if one does: losses and accuracies are means since
  // the point before. `now_seconds` is any clock's reading and serves the point's speed only.
  std::optional<v1::Series::Point> Add(const StepRecord& record, double now_seconds);

  const v1::Series& series() const { return series_; }

 private:
  const int64_t total_steps_;
  const int64_t stride_;
  v1::Series series_;
  // Since the last point.
  int64_t steps_ = 0;
  int64_t images_ = 0;
  double loss_sum_ = 0;
  double cross_entropy_sum_ = 0;
  double distillation_sum_ = 0;
  double accuracy_sum_ = 0;
  double teacher_accuracy_sum_ = 0;
  std::map<std::string, double> added_sums_;
  std::optional<double> last_point_seconds_;
};

}  // namespace distill::training
