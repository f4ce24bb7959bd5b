#include "worker/agent/slot.h"

#include <poll.h>
#include <pthread.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/log.h"

namespace distill::worker {

Slot::Slot(Config config, Dependencies dependencies)
    : config_(std::move(config)),
      dependencies_(std::move(dependencies)),
      seat_(config_.seat, wake_) {}

Slot::~Slot() { Stop(); }

void Slot::Start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), absl::StrCat("slot-", config_.run.slot).c_str());
    RunThread();
  });
}

void Slot::RequestStop() {
  stopping_ = true;
  wake_.Wake();
}

void Slot::Stop() {
  RequestStop();
  if (thread_.joinable()) thread_.join();
}

void Slot::Assign(std::vector<std::shared_ptr<LiveLease>> leases) {
  {
    MutexLock lock(mu_);
    DISTILL_CHECK(!busy_, "only a free slot is given work");
    busy_ = true;
    warm_job_.clear();
    assigned_ = std::move(leases);
  }
  wake_.Wake();
}

bool Slot::free() const {
  MutexLock lock(mu_);
  return !busy_;
}

std::string Slot::warm_job() const {
  MutexLock lock(mu_);
  return warm_job_;
}

void Slot::RunThread() {
  for (;;) {
    const std::vector<std::shared_ptr<LiveLease>> leases = AwaitAssignment();
    if (leases.empty()) break;
    LeaseSetRun run(config_.run,
                    {dependencies_.clock, dependencies_.cache, dependencies_.datasets,
                     dependencies_.differing_datasets, dependencies_.checkpoints,
                     dependencies_.publisher, dependencies_.metrics, seat_, wake_,
                     dependencies_.report_soon, [this] { return stopping_.load(); }},
                    leases);
    run.Run();
    {
      MutexLock lock(mu_);
      busy_ = false;
      warm_job_ = seat_.job();
    }
    dependencies_.on_free();
  }
  seat_.End();
}

std::vector<std::shared_ptr<LiveLease>> Slot::AwaitAssignment() {
  const MonotonicTime warm_until = dependencies_.clock.Now() + config_.warm_idle;
  for (;;) {
    wake_.Clear();
    if (stopping_) return {};
    std::vector<std::shared_ptr<LiveLease>> leases = TakeAssignment();
    if (!leases.empty()) return leases;
    if (seat_.trainer() == nullptr) {
      pollfd entry = {wake_.descriptor(), POLLIN, 0};
      poll(&entry, 1, -1);
      continue;
    }
    const absl::Duration left = warm_until - dependencies_.clock.Now();
    if (left <= absl::ZeroDuration()) {
      EndTrainer();
    } else if (!seat_.trainer()->Wait(wake_.descriptor(), left).ok()) {
      LogWarning("warm trainer died", {{"slot", config_.run.slot}});
      EndTrainer();
    }
  }
}

std::vector<std::shared_ptr<LiveLease>> Slot::TakeAssignment() {
  MutexLock lock(mu_);
  return std::exchange(assigned_, {});
}

void Slot::EndTrainer() {
  seat_.End();
  MutexLock lock(mu_);
  warm_job_.clear();
}

}  // namespace distill::worker
