#include "server/rpc/io_executor.h"

#include <pthread.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error_details.h"
#include "base/error_reasons.h"

namespace distill::server {

IoExecutor::IoExecutor(const IoExecutorConfig& config, Metrics& metrics)
    : config_(config),
      queue_length_(metrics.AddGauge("distill_io_queue_length",
                                     "Calls that wait for a thread of this pool.",
                                     {{"pool", config.name}})) {
  for (int i = 0; i < config_.threads; ++i) {
    threads_.emplace_back([this] { Run(); });
    pthread_setname_np(threads_.back().native_handle(), config_.name.c_str());
  }
}

IoExecutor::~IoExecutor() { Stop(); }

absl::Status IoExecutor::Submit(std::function<void()> work) {
  MutexLock lock(mu_);
  if (stopping_) {
    return WithReason(
        absl::UnavailableError("cannot run call: the server is stopping; retry later"),
        reason::kServerStopping);
  }
  if (queue_.size() >= config_.max_queue) {
    const absl::Status full = absl::ResourceExhaustedError(absl::StrCat(
        "cannot run call: too many calls wait for the disk; retry later; pool=", config_.name,
        " queued=", queue_.size()));
    return QueueFull(full,
                     absl::StrCat("at most ", config_.max_queue, " calls wait for this pool"));
  }
  queue_.push_back(std::move(work));
  queue_length_.Set(static_cast<double>(queue_.size()));
  changed_.NotifyOne();
  return absl::OkStatus();
}

void IoExecutor::Stop() {
  {
    MutexLock lock(mu_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void IoExecutor::Run() {
  while (true) {
    std::function<void()> work;
    {
      MutexLock lock(mu_);
      while (queue_.empty() && !stopping_) changed_.Wait(mu_);
      if (queue_.empty()) return;
      work = std::move(queue_.front());
      queue_.pop_front();
      queue_length_.Set(static_cast<double>(queue_.size()));
    }
    work();
  }
}

}  // namespace distill::server
