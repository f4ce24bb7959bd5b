// Runs what blocks (database reads, blob I/O, hashing) away from gRPC's threads: a few threads and
// a bounded queue, so that a slow disk turns into refusals instead of memory.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "base/metrics.h"
#include "base/mutex.h"

namespace distill::server {

struct IoExecutorConfig {
  std::string name;  // Of the threads, and the metric label `pool`; at most 15 characters.
  int threads = 2;
  size_t max_queue = 1024;
};

// Thread-safe.
class IoExecutor {
 public:
  IoExecutor(const IoExecutorConfig& config, Metrics& metrics);
  // Stops.
  ~IoExecutor();

  // Queues `work`, which runs exactly once unless an error is returned. kResourceExhausted when the
  // queue is full, kUnavailable after Stop(): retry later. Never blocks.
  absl::Status Submit(std::function<void()> work) ABSL_LOCKS_EXCLUDED(mu_);

  // Runs what is queued, refuses more, and joins the threads. Idempotent; not from `work`.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mu_);

  const IoExecutorConfig config_;
  Gauge& queue_length_;
  Mutex mu_;
  CondVar changed_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace distill::server
