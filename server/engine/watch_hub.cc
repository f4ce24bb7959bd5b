#include "server/engine/watch_hub.h"

#include <algorithm>
#include <utility>

namespace distill::server {

WatchQueue::WatchQueue(size_t max_events, int64_t after_revision, std::function<void()> wake)
    : max_events_(max_events), wake_(std::move(wake)), last_revision_(after_revision) {}

void WatchQueue::WakeOnce() {
  if (woken_ || !wake_) return;
  woken_ = true;
  wake_();
}

void WatchQueue::PushEvent(const storage::EventRecord& event) {
  MutexLock lock(mu_);
  if (event.revision <= last_revision_) return;
  if (events_.size() >= max_events_) {
    events_.clear();
    events_.shrink_to_fit();
    lagged_ = true;
  }
  if (!lagged_) {
    last_revision_ = event.revision;
    events_.push_back(event);
  }
  WakeOnce();
}

void WatchQueue::PushProgress(const ProgressNews& news) {
  MutexLock lock(mu_);
  progress_[news.task] = news;
  WakeOnce();
}

void WatchQueue::Close() {
  MutexLock lock(mu_);
  closed_ = true;
  WakeOnce();
}

WatchBatch WatchQueue::Take() {
  MutexLock lock(mu_);
  WatchBatch batch;
  batch.events.swap(events_);
  batch.progress.reserve(progress_.size());
  for (auto& [task, news] : progress_) batch.progress.push_back(std::move(news));
  progress_.clear();
  batch.lagged = std::exchange(lagged_, false);
  batch.closed = closed_;
  woken_ = false;
  return batch;
}

void WatchQueue::Detach() {
  MutexLock lock(mu_);
  wake_ = nullptr;
  closed_ = true;
}

bool WatchQueue::detached() const {
  MutexLock lock(mu_);
  return wake_ == nullptr;
}

std::unique_ptr<WatchSubscription> WatchHub::Subscribe(const JobId& job, int64_t after_revision,
                                                       std::function<void()> wake) {
  if (!wake) wake = [] {};
  auto queue =
      std::make_shared<WatchQueue>(config_.max_queued_events, after_revision, std::move(wake));
  bool closed = false;
  {
    MutexLock lock(mu_);
    closed = closed_;
    if (!closed) queues_[job].push_back(queue);
  }
  if (closed) queue->Close();
  return std::make_unique<WatchSubscription>(std::move(queue));
}

void WatchHub::Collect(const JobId& job, QueueMap& targets) {
  const auto found = queues_.find(job);
  if (found == queues_.end() || targets.count(job) != 0) return;
  auto& queues = found->second;
  queues.erase(std::remove_if(queues.begin(), queues.end(),
                              [](const auto& queue) { return queue->detached(); }),
               queues.end());
  if (queues.empty()) {
    queues_.erase(found);
  } else {
    targets.emplace(job, queues);
  }
}

void WatchHub::Publish(absl::Span<const storage::EventRecord* const> events,
                       absl::Span<const ProgressNews> progress) {
  // Queues are collected under the lock and filled outside it: `wake` is foreign code.
  QueueMap targets;
  {
    MutexLock lock(mu_);
    if (queues_.empty()) return;
    for (const storage::EventRecord* event : events) Collect(event->job, targets);
    for (const ProgressNews& news : progress) Collect(news.job, targets);
  }
  if (targets.empty()) return;
  for (const storage::EventRecord* event : events) {
    const auto found = targets.find(event->job);
    if (found == targets.end()) continue;
    for (const auto& queue : found->second) queue->PushEvent(*event);
  }
  for (const ProgressNews& news : progress) {
    const auto found = targets.find(news.job);
    if (found == targets.end()) continue;
    for (const auto& queue : found->second) queue->PushProgress(news);
  }
}

void WatchHub::Close() {
  QueueMap queues;
  {
    MutexLock lock(mu_);
    closed_ = true;
    queues.swap(queues_);
  }
  for (const auto& [job, of_job] : queues) {
    for (const auto& queue : of_job) queue->Close();
  }
}

}  // namespace distill::server
