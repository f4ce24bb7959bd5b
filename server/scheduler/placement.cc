#include "server/scheduler/placement.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace distill::server {

namespace {

// Whether the worker has label "key=value".
bool HasLabel(const WorkerInfo& worker, const std::string& label) {
  const size_t equals = label.find('=');
  if (equals == std::string::npos) return worker.labels.count(label) != 0;
  const auto found = worker.labels.find(label.substr(0, equals));
  return found != worker.labels.end() && found->second == label.substr(equals + 1);
}

std::vector<int64_t> NumbersOf(const std::string& version) {
  std::vector<int64_t> numbers;
  for (const absl::string_view part : absl::StrSplit(version, '.')) {
    int64_t number = 0;
    // What is no number ("535.104-beta") counts as 0.
    numbers.push_back(absl::SimpleAtoi(part, &number) ? number : 0);
  }
  while (!numbers.empty() && numbers.back() == 0) numbers.pop_back();
  return numbers;
}

}  // namespace

bool IsAtLeast(const std::string& have, const std::string& want) {
  return !have.empty() && NumbersOf(have) >= NumbersOf(want);
}

Unfit WhyUnfit(const Requirement& requirement, const WorkerInfo& worker) {
  if (!requirement.device_kind.empty() && requirement.device_kind != worker.device_kind) {
    return {Predicate::kDeviceKind,
            absl::StrCat("is not of device kind ", requirement.device_kind)};
  }
  const bool any_class = requirement.numeric_class.empty() || requirement.numeric_class == "any" ||
                         std::find(worker.numeric_classes.begin(), worker.numeric_classes.end(),
                                   requirement.numeric_class) != worker.numeric_classes.end();
  if (!any_class) {
    return {Predicate::kNumericClass,
            absl::StrCat("has no numeric class ", requirement.numeric_class)};
  }
  if (!requirement.min_driver.empty() &&
      !IsAtLeast(worker.driver_version, requirement.min_driver)) {
    return {Predicate::kDriver,
            absl::StrCat("has no driver ", requirement.min_driver, " or newer (has ",
                         worker.driver_version.empty() ? "none" : worker.driver_version, ")")};
  }
  if (worker.slot_memory_bytes > 0 && requirement.memory_bytes > worker.slot_memory_bytes) {
    return {Predicate::kMemory,
            absl::StrCat("has no slot with ", requirement.memory_bytes >> 20, " MiB")};
  }
  for (const std::string& label : requirement.labels) {
    if (!HasLabel(worker, label)) {
      return {Predicate::kLabels, absl::StrCat("has no label ", label)};
    }
  }
  if (requirement.gang_size > 1 && worker.gang_network.empty()) {
    return {Predicate::kGangNetwork, "has no gang network (--gang-network)"};
  }
  return {};
}

bool Fits(const Requirement& requirement, const WorkerInfo& worker) {
  return WhyUnfit(requirement, worker).failed == Predicate::kNone;
}

int32_t EffectivePriority(int32_t priority, absl::Duration waited, absl::Duration ageing_interval) {
  if (waited <= absl::ZeroDuration() || ageing_interval <= absl::ZeroDuration()) return priority;
  const int64_t intervals = waited / ageing_interval;
  const int64_t aged = priority + std::min<int64_t>(intervals, kHighestPriority);
  return std::max(priority, static_cast<int32_t>(std::min<int64_t>(aged, kHighestPriority)));
}

bool LaneView::Precedes(const LaneView& other) const {
  const auto order = [](const LaneView& lane) {
    return std::make_tuple(-lane.effective_priority, lane.share);
  };
  return order(*this) < order(other);
}

std::vector<size_t> ChooseLanes(absl::Span<const LaneView> lanes) {
  std::vector<size_t> best;
  for (size_t i = 0; i < lanes.size(); ++i) {
    if (!best.empty() && lanes[best.front()].Precedes(lanes[i])) continue;
    if (!best.empty() && lanes[i].Precedes(lanes[best.front()])) best.clear();
    best.push_back(i);
  }
  return best;
}

size_t ChooseCandidate(absl::Span<const Candidate> candidates, absl::Duration warm_patience) {
  // Nobody younger overtakes a job of which a task has waited too long.
  int64_t youngest_allowed = std::numeric_limits<int64_t>::max();
  for (const Candidate& candidate : candidates) {
    if (candidate.waited >= warm_patience) {
      youngest_allowed = std::min(youngest_allowed, candidate.job_age);
    }
  }
  const auto order = [](const Candidate& candidate) {
    return std::make_tuple(!candidate.warm, candidate.job_age, -candidate.cached_inputs,
                           candidate.index);
  };
  size_t best = candidates.size();
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (candidates[i].job_age > youngest_allowed) continue;
    if (best == candidates.size() || order(candidates[i]) < order(candidates[best])) best = i;
  }
  return best;
}

int64_t BundleSize(const BundleInputs& inputs) {
  const int64_t slots = std::max<int64_t>(1, inputs.usable_slots);
  int64_t size = (inputs.ready + slots - 1) / slots;
  size = std::min<int64_t>(size, inputs.max_bundle);
  if (inputs.task_memory_bytes > 0 && inputs.slot_memory_bytes > 0) {
    size = std::min(size, inputs.slot_memory_bytes / inputs.task_memory_bytes);
  }
  return std::max<int64_t>(1, size);
}

}  // namespace distill::server
