#include "worker/training/checkpoint_policy.h"

#include <algorithm>

namespace distill::training {
namespace {

constexpr double kMostCost = 0.02;
constexpr absl::Duration kShortestInterval = absl::Seconds(30);
constexpr absl::Duration kLongestInterval = absl::Minutes(15);

}  // namespace

CheckpointPolicy::CheckpointPolicy(absl::Duration requested, MonotonicTime start)
    : requested_(requested), last_(start) {}

absl::Duration CheckpointPolicy::interval() const {
  if (requested_ > absl::ZeroDuration()) return requested_;
  if (!cost_.has_value()) return kShortestInterval;
  return std::clamp(*cost_ / kMostCost, kShortestInterval, kLongestInterval);
}

}  // namespace distill::training
