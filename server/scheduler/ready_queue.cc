#include "server/scheduler/ready_queue.h"

#include "base/check.h"

namespace distill::server {

void ReadyQueue::Add(TaskRank rank, Place place) {
  Lane& lane = by_requirement_[place.requirement][place.lane];
  const bool added = lane[rank.job_age][place.group].insert(rank.index).second;
  DISTILL_CHECK(added, "a task is queued once");
  ++size_;
}

void ReadyQueue::Remove(TaskRank rank, Place place) {
  const auto lanes = by_requirement_.find(place.requirement);
  DISTILL_CHECK(lanes != by_requirement_.end(), "removed tasks are queued");
  const auto lane = lanes->second.find(place.lane);
  DISTILL_CHECK(lane != lanes->second.end(), "removed tasks are queued");
  const auto job = lane->second.find(rank.job_age);
  DISTILL_CHECK(job != lane->second.end(), "removed tasks are queued");
  const auto group = job->second.find(place.group);
  DISTILL_CHECK(group != job->second.end() && group->second.erase(rank.index) == 1,
                "removed tasks are queued");
  --size_;
  if (!group->second.empty()) return;
  job->second.erase(group);
  if (!job->second.empty()) return;
  lane->second.erase(job);
  if (!lane->second.empty()) return;
  lanes->second.erase(lane);
  if (lanes->second.empty()) by_requirement_.erase(lanes);
}

const ReadyQueue::Group* ReadyQueue::Find(int64_t job_age, Place place) const {
  const auto lanes = by_requirement_.find(place.requirement);
  if (lanes == by_requirement_.end()) return nullptr;
  const auto lane = lanes->second.find(place.lane);
  if (lane == lanes->second.end()) return nullptr;
  const auto job = lane->second.find(job_age);
  if (job == lane->second.end()) return nullptr;
  const auto group = job->second.find(place.group);
  return group == job->second.end() ? nullptr : &group->second;
}

bool ReadyQueue::Contains(TaskRank rank, Place place) const {
  const Group* group = Find(rank.job_age, place);
  return group != nullptr && group->contains(rank.index);
}

size_t ReadyQueue::CountInGroup(int64_t job_age, Place place) const {
  const Group* group = Find(job_age, place);
  return group == nullptr ? 0 : group->size();
}

std::vector<TaskRank> ReadyQueue::FirstInGroup(int64_t job_age, Place place, size_t limit) const {
  std::vector<TaskRank> ranks;
  const Group* group = Find(job_age, place);
  if (group == nullptr) return ranks;
  for (const int32_t index : *group) {
    if (ranks.size() == limit) break;
    ranks.push_back(TaskRank{job_age, index});
  }
  return ranks;
}

void ReadyQueue::AppendOldest(int32_t requirement, int32_t lane, size_t max_jobs, size_t max_tasks,
                              std::vector<Entry>& out) const {
  const auto lanes = by_requirement_.find(requirement);
  if (lanes == by_requirement_.end()) return;
  const auto jobs = lanes->second.find(lane);
  if (jobs == lanes->second.end()) return;
  size_t jobs_seen = 0;
  for (const auto& [job_age, groups] : jobs->second) {
    if (jobs_seen++ == max_jobs) break;
    for (const auto& [group, indexes] : groups) {
      size_t tasks_seen = 0;
      for (const int32_t index : indexes) {
        if (tasks_seen++ == max_tasks) break;
        out.push_back(Entry{TaskRank{job_age, index}, Place{requirement, lane, group}});
      }
    }
  }
}

std::vector<ReadyQueue::Entry> ReadyQueue::Heads(int32_t requirement) const {
  std::vector<Entry> heads;
  const auto lanes = by_requirement_.find(requirement);
  if (lanes == by_requirement_.end()) return heads;
  for (const auto& [lane, jobs] : lanes->second) {
    const auto& [job_age, groups] = *jobs.begin();
    const auto& [group, indexes] = *groups.begin();
    heads.push_back(Entry{TaskRank{job_age, *indexes.begin()}, Place{requirement, lane, group}});
  }
  return heads;
}

std::vector<int32_t> ReadyQueue::Requirements() const {
  std::vector<int32_t> requirements;
  requirements.reserve(by_requirement_.size());
  for (const auto& [requirement, lanes] : by_requirement_) requirements.push_back(requirement);
  return requirements;
}

}  // namespace distill::server
