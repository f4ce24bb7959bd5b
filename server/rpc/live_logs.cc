#include "server/rpc/live_logs.h"

#include <algorithm>
#include <utility>

namespace distill::server {

LogQueue::Piece LogQueue::Take() {
  MutexLock lock(mu_);
  Piece piece;
  piece.bytes = std::exchange(waiting_, std::string());
  piece.offset = next_offset_ - static_cast<int64_t>(piece.bytes.size());
  return piece;
}

void LogQueue::Push(int64_t offset, absl::string_view bytes) {
  MutexLock lock(mu_);
  const int64_t end = offset + static_cast<int64_t>(bytes.size());
  if (offset > next_offset_ || end <= next_offset_ || wake_ == nullptr) return;
  bytes.remove_prefix(static_cast<size_t>(next_offset_ - offset));
  bytes = bytes.substr(0, kMostBytes - std::min(kMostBytes, waiting_.size()));
  if (bytes.empty()) return;
  waiting_.append(bytes.data(), bytes.size());
  next_offset_ += static_cast<int64_t>(bytes.size());
  wake_();
}

int64_t LogQueue::next_offset() const {
  MutexLock lock(mu_);
  return next_offset_;
}

void LogQueue::Detach() {
  MutexLock lock(mu_);
  wake_ = nullptr;
}

bool LogQueue::detached() const {
  MutexLock lock(mu_);
  return wake_ == nullptr;
}

std::unique_ptr<LogSubscription> LiveLogs::Follow(const LeaseId& lease, int64_t offset,
                                                  std::function<void()> wake) {
  auto queue = std::make_shared<LogQueue>(offset, std::move(wake));
  MutexLock lock(mu_);
  queues_[lease].push_back(queue);
  any_ = true;
  return std::make_unique<LogSubscription>(std::move(queue));
}

LiveLogs::Queues LiveLogs::Find(const LeaseId& lease) {
  if (!any_) return {};
  MutexLock lock(mu_);
  const auto entry = queues_.find(lease);
  if (entry == queues_.end()) return {};
  Queues& queues = entry->second;
  queues.erase(std::remove_if(queues.begin(), queues.end(),
                              [](const auto& queue) { return queue->detached(); }),
               queues.end());
  if (!queues.empty()) return queues;
  queues_.erase(entry);
  any_ = !queues_.empty();
  return {};
}

std::optional<int64_t> LiveLogs::WantedOffset(const LeaseId& lease) {
  std::optional<int64_t> wanted;
  for (const auto& queue : Find(lease)) {
    const int64_t offset = queue->next_offset();
    wanted = wanted.has_value() ? std::min(*wanted, offset) : offset;
  }
  return wanted;
}

std::optional<int64_t> LiveLogs::Receive(const LeaseId& lease, int64_t offset,
                                         absl::string_view bytes) {
  for (const auto& queue : Find(lease)) queue->Push(offset, bytes);
  return WantedOffset(lease);
}

}  // namespace distill::server
