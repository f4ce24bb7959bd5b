#include "server/rpc/live_series.h"

#include <algorithm>

namespace distill::server {

int32_t LiveSeries::Take(const LeaseId& lease, int32_t first,
                         const google::protobuf::RepeatedPtrField<v1::Series::Point>& points,
                         MonotonicTime now) {
  MutexLock lock(mu_);
  const auto known = entries_.find(lease);
  if (known == entries_.end() && points.empty()) return 0;
  if (known == entries_.end()) MakeRoom();
  Entry& entry = entries_[lease];
  entry.heard = now;
  v1::Series& series = entry.series;
  int32_t index = first;
  for (const v1::Series::Point& point : points) {
    if (index > series.points_size() || index >= kMostPoints) break;
    if (index == series.points_size()) *series.add_points() = point;
    ++index;
  }
  return series.points_size();
}

std::optional<v1::Series> LiveSeries::Find(const LeaseId& lease) const {
  MutexLock lock(mu_);
  const auto entry = entries_.find(lease);
  if (entry == entries_.end() || entry->second.series.points().empty()) return std::nullopt;
  return entry->second.series;
}

void LiveSeries::MakeRoom() {
  if (entries_.size() < kMostAttempts) return;
  entries_.erase(std::min_element(
      entries_.begin(), entries_.end(),
      [](const auto& a, const auto& b) { return a.second.heard < b.second.heard; }));
}

}  // namespace distill::server
