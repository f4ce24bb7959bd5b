#include "worker/agent/log_forwarder.h"

#include <pthread.h>

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "base/log.h"

namespace distill::worker {
namespace {

constexpr size_t kPieceBytes = 64 << 10;

}  // namespace

LogForwarder::LogForwarder(Config config, WorkerClient& client, const LeaseTable& leases)
    : config_(std::move(config)), client_(&client), leases_(&leases) {}

LogForwarder::~LogForwarder() { Stop(); }

void LogForwarder::Start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "log-forwarder");
    Run();
  });
}

void LogForwarder::Stop() {
  {
    MutexLock lock(mu_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void LogForwarder::SetWishes(const google::protobuf::RepeatedPtrField<v1::LogWish>& wishes) {
  std::map<std::string, int64_t> wanted;
  for (const v1::LogWish& wish : wishes) wanted[wish.lease_id()] = wish.offset();
  MutexLock lock(mu_);
  if (wanted.empty() && wanted_.empty()) return;
  wanted_ = std::move(wanted);
  changed_.NotifyAll();
}

void LogForwarder::Run() {
  while (true) {
    {
      MutexLock lock(mu_);
      while (wanted_.empty() && !stopping_) changed_.Wait(mu_);
      if (stopping_) return;
    }
    if (SendPieces()) continue;
    MutexLock lock(mu_);
    if (!stopping_) changed_.WaitFor(mu_, config_.interval);
  }
}

bool LogForwarder::SendPieces() {
  std::map<std::string, int64_t> wanted;
  {
    MutexLock lock(mu_);
    wanted = wanted_;
  }
  bool more = false;
  for (const auto& [lease_id, offset] : wanted) {
    const std::shared_ptr<LiveLease> lease = leases_->Find(lease_id);
    if (lease == nullptr) {
      Forget(lease_id);
      continue;
    }
    v1::SendLogRequest request;
    request.set_data(lease->ReadLog(offset, kPieceBytes));
    if (request.data().empty()) continue;
    request.set_worker_id(config_.worker_id);
    *request.mutable_lease() = lease->ref();
    request.set_offset(offset);
    const absl::StatusOr<v1::SendLogResponse> answer = client_->SendLog(request);
    if (!answer.ok()) {
      // The next heartbeat's answer says whether it is still wanted.
      LogDebug("log was not taken", {{"task", lease->ref().task()}, {"error", answer.status()}});
      Forget(lease_id);
      continue;
    }
    Advance(lease_id, *answer);
    more = more || (answer->wanted() &&
                    answer->next_offset() == offset + static_cast<int64_t>(kPieceBytes));
  }
  return more;
}

void LogForwarder::Advance(const std::string& lease_id, const v1::SendLogResponse& answer) {
  MutexLock lock(mu_);
  const auto entry = wanted_.find(lease_id);
  if (entry == wanted_.end()) return;
  if (answer.wanted()) {
    entry->second = answer.next_offset();
  } else {
    wanted_.erase(entry);
  }
}

void LogForwarder::Forget(const std::string& lease_id) {
  MutexLock lock(mu_);
  wanted_.erase(lease_id);
}

}  // namespace distill::worker
