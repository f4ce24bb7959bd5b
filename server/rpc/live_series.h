// Training points of running attempts, as their workers tell them with heartbeats. Latest wins,
// bounded, and lost at a restart: workers send again what is missing. What counts is the series
// that an attempt uploads at its end.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/mutex.h"
#include "distill/v1/report.pb.h"

namespace distill::server {

// Thread-safe.
class LiveSeries {
 public:
  // Above that many attempts the one that was heard of longest ago is forgotten: about 100 bytes a
  // point and 2,000 points an attempt make this 200 MB at the very most.
  static constexpr size_t kMostAttempts = 1000;
  static constexpr int kMostPoints = 2000;

  // Takes points of index `first` and up. A gap is not filled: the worker is told what is known and
  // begins there. Returns how many points are known now.
  int32_t Take(const LeaseId& lease, int32_t first,
               const google::protobuf::RepeatedPtrField<v1::Series::Point>& points,
               MonotonicTime now) ABSL_LOCKS_EXCLUDED(mu_);

  // Nothing while no point is known.
  std::optional<v1::Series> Find(const LeaseId& lease) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Entry {
    v1::Series series;
    MonotonicTime heard;
  };
  void MakeRoom() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable Mutex mu_;
  std::map<LeaseId, Entry> entries_ ABSL_GUARDED_BY(mu_);
};

}  // namespace distill::server
