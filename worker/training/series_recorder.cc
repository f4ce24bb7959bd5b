#include "worker/training/series_recorder.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace distill::training {

SeriesRecorder::SeriesRecorder(int64_t total_steps)
    : total_steps_(total_steps),
      stride_(std::max<int64_t>(1, (total_steps + kMostSeriesPoints - 1) / kMostSeriesPoints)) {
  DISTILL_CHECK(total_steps >= 0, "a run cannot have a negative length");
}

void SeriesRecorder::Restore(const v1::Series& series) { series_ = series; }

std::optional<v1::Series::Point> SeriesRecorder::Add(const StepRecord& record, double now_seconds) {
  if (!last_point_seconds_.has_value()) last_point_seconds_ = now_seconds;
  ++steps_;
  images_ += record.images;
  loss_sum_ += record.loss;
  cross_entropy_sum_ += record.cross_entropy;
  distillation_sum_ += record.distillation;
  accuracy_sum_ += record.accuracy;
  teacher_accuracy_sum_ += record.teacher_accuracy;
  for (const auto& [name, loss] : record.added) added_sums_[name] += loss.value;
  if (record.step % stride_ != 0 && record.step != total_steps_) return std::nullopt;

  const double steps = static_cast<double>(steps_);
  v1::Series::Point point;
  point.set_step(record.step);
  point.set_loss(loss_sum_ / steps);
  point.set_learning_rate(record.learning_rate);
  point.set_cross_entropy(cross_entropy_sum_ / steps);
  point.set_distillation(distillation_sum_ / steps);
  point.set_accuracy(accuracy_sum_ / steps);
  if (!std::isnan(teacher_accuracy_sum_)) point.set_teacher_accuracy(teacher_accuracy_sum_ / steps);
  for (const auto& [name, loss] : record.added) {
    v1::Series::Term& term = *point.add_terms();
    term.set_name(name);
    term.set_value(added_sums_[name] / steps);
    term.set_weight(loss.weight);
  }
  const double seconds = now_seconds - *last_point_seconds_;
  point.set_images_per_second(seconds > 0 ? static_cast<double>(images_) / seconds : 0);
  last_point_seconds_ = now_seconds;
  steps_ = images_ = 0;
  loss_sum_ = cross_entropy_sum_ = distillation_sum_ = 0;
  accuracy_sum_ = teacher_accuracy_sum_ = 0;
  added_sums_.clear();
  // The last step may fall one beyond the last full stride; it then takes that point's place.
  if (series_.points_size() == kMostSeriesPoints) series_.mutable_points()->RemoveLast();
  *series_.add_points() = point;
  return point;
}

}  // namespace distill::training
