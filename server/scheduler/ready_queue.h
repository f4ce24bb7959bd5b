// The tasks that could run now, indexed so that the oldest fitting one is found in logarithmic time
// however many wait: by requirement, then lane (project and priority), then age of the job, then
// bundle group, then plan order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"

namespace distill::server {

// Where a task stands in the order of service, and the name of a task inside the core.
struct TaskRank {
  int64_t job_age = 0;  // create_revision of its job; lower is older.
  int32_t index = -1;   // Plan order.

  friend bool operator==(const TaskRank& a, const TaskRank& b) {
    return a.job_age == b.job_age && a.index == b.index;
  }
  friend bool operator!=(const TaskRank& a, const TaskRank& b) { return !(a == b); }
  friend bool operator<(const TaskRank& a, const TaskRank& b) {
    return std::tie(a.job_age, a.index) < std::tie(b.job_age, b.index);
  }
  template <typename H>
  friend H AbslHashValue(H state, const TaskRank& rank) {
    return H::combine(std::move(state), rank.job_age, rank.index);
  }
};

// Not thread-safe.
class ReadyQueue {
 public:
  // Group of tasks that never share a trainer.
  static constexpr int32_t kAlone = -1;

  // Numbers of the requirement, the lane and the bundle group, as the core interned them.
  struct Place {
    int32_t requirement = 0;
    int32_t lane = 0;
    int32_t group = kAlone;
  };
  struct Entry {
    TaskRank rank;
    Place place;
  };

  void Add(TaskRank rank, Place place);
  // Requires that it was added with the same place.
  void Remove(TaskRank rank, Place place);

  size_t size() const { return size_; }
  bool Contains(TaskRank rank, Place place) const;
  // Number of tasks of the job in that place.
  size_t CountInGroup(int64_t job_age, Place place) const;
  // The first `limit` tasks of the job in that place, in plan order.
  std::vector<TaskRank> FirstInGroup(int64_t job_age, Place place, size_t limit) const;
  // The oldest tasks with this requirement in this lane: of at most `max_jobs` jobs, at most
  // `max_tasks` of each group.
  void AppendOldest(int32_t requirement, int32_t lane, size_t max_jobs, size_t max_tasks,
                    std::vector<Entry>& out) const;
  // Requirements that some task has.
  std::vector<int32_t> Requirements() const;
  // The first task of each lane that has some with this requirement.
  std::vector<Entry> Heads(int32_t requirement) const;

 private:
  using Group = absl::btree_set<int32_t>;
  using Job = std::map<int32_t, Group>;
  using Lane = absl::btree_map<int64_t, Job>;

  const Group* Find(int64_t job_age, Place place) const;

  std::map<int32_t, std::map<int32_t, Lane>> by_requirement_;
  size_t size_ = 0;
};

}  // namespace distill::server
