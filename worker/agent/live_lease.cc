#include "worker/agent/live_lease.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/trace_context.h"

namespace distill::worker {
namespace {

// The protocol's bound on a report, and the trainer's on a series.
constexpr int kMostPointsPerReport = 200;
constexpr int kMostPoints = 2000;

}  // namespace

LiveLease::LiveLease(v1::Grant grant, std::function<void()> on_wish)
    : grant_(std::move(grant)), on_wish_(std::move(on_wish)) {
  *report_.mutable_lease() = grant_.lease();
  report_.mutable_progress()->set_loss(std::numeric_limits<double>::quiet_NaN());
  report_.mutable_progress()->set_eta_seconds(-1);
  report_.mutable_progress()->set_step(grant_.checkpoint_step());
  if (!grant_.checkpoint().digest().empty()) {
    *report_.mutable_checkpoint() = grant_.checkpoint();
    report_.set_checkpoint_step(grant_.checkpoint_step());
  }
}

LeaseWish LiveLease::wish() const {
  MutexLock lock(mu_);
  return wish_;
}

void LiveLease::Wish(LeaseWish wish) {
  {
    MutexLock lock(mu_);
    if (wish <= wish_) return;
    if (wish == LeaseWish::kReleaseIfUnstarted && report_.started()) return;
    wish_ = wish;
  }
  preparation_.Cancel();
  if (wish == LeaseWish::kAbandon) publication_.Cancel();
  on_wish_();
}

void LiveLease::SetPhase(const std::string& phase) {
  MutexLock lock(mu_);
  report_.mutable_progress()->set_phase(phase);
}

void LiveLease::SetProgress(const v1::Progress& progress, bool started) {
  MutexLock lock(mu_);
  *report_.mutable_progress() = progress;
  if (started) report_.set_started(true);
}

bool LiveLease::started() const {
  MutexLock lock(mu_);
  return report_.started();
}

void LiveLease::SetCheckpoint(const v1::ArtifactRef& checkpoint, int64_t step) {
  MutexLock lock(mu_);
  if (report_.has_checkpoint() && step < report_.checkpoint_step()) return;
  *report_.mutable_checkpoint() = checkpoint;
  report_.set_checkpoint_step(step);
}

void LiveLease::SetGangContact(std::string contact) {
  MutexLock lock(mu_);
  report_.set_gang_contact(std::move(contact));
}

void LiveLease::SetGangPeers(std::vector<std::string> contacts, const std::string& view) {
  {
    MutexLock lock(mu_);
    if (report_.gang_view() == view) return;
    report_.set_gang_view(view);
    gang_peers_ = std::move(contacts);
  }
  on_wish_();
}

std::vector<std::string> LiveLease::TakeGangPeers() {
  MutexLock lock(mu_);
  return std::exchange(gang_peers_, {});
}

v1::LeaseProgress LiveLease::Report() const {
  MutexLock lock(mu_);
  v1::LeaseProgress report = report_;
  if (!points_known_.has_value()) return report;
  const int first = std::clamp(*points_known_, 0, series_.points_size());
  report.set_first_point(first);
  for (int i = first; i < std::min(series_.points_size(), first + kMostPointsPerReport); ++i) {
    *report.add_points() = series_.points(i);
  }
  return report;
}

void LiveLease::AddPoints(const google::protobuf::RepeatedPtrField<v1::Series::Point>& points) {
  MutexLock lock(mu_);
  for (const v1::Series::Point& point : points) {
    if (series_.points_size() < kMostPoints) *series_.add_points() = point;
  }
}

void LiveLease::SetPointsKnown(std::optional<int32_t> count) {
  MutexLock lock(mu_);
  points_known_ = count;
}

void LiveLease::SetLog(std::string header, std::shared_ptr<const AttemptLog> log) {
  MutexLock lock(mu_);
  log_header_ = std::move(header);
  log_ = std::move(log);
}

std::string LiveLease::ReadLog(int64_t offset, size_t most) const {
  MutexLock lock(mu_);
  if (log_ == nullptr || offset < 0) return "";
  const auto header_size = static_cast<int64_t>(log_header_.size());
  if (offset < header_size) return log_header_.substr(static_cast<size_t>(offset), most);
  return log_->Read(offset - header_size, most);
}

LogScope ScopeOf(const v1::Grant& grant) {
  const std::optional<TraceContext> trace = ParseTraceparent(grant.traceparent());
  const v1::LeaseRef& ref = grant.lease();
  return LogScope({{"job", ref.job()},
                   {"task", ref.task()},
                   {"attempt", ref.attempt_number()},
                   {"trace", trace.has_value() ? trace->trace_id : "none"}});
}

void LeaseTable::Add(std::shared_ptr<LiveLease> lease) {
  MutexLock lock(mu_);
  const std::string id = lease->id();
  leases_[id] = std::move(lease);
}

void LeaseTable::Remove(const std::string& lease_id) {
  MutexLock lock(mu_);
  leases_.erase(lease_id);
}

std::shared_ptr<LiveLease> LeaseTable::Find(const std::string& lease_id) const {
  MutexLock lock(mu_);
  const auto found = leases_.find(lease_id);
  return found == leases_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<LiveLease>> LeaseTable::All() const {
  MutexLock lock(mu_);
  std::vector<std::shared_ptr<LiveLease>> all;
  all.reserve(leases_.size());
  for (const auto& [id, lease] : leases_) all.push_back(lease);
  return all;
}

bool LeaseTable::empty() const {
  MutexLock lock(mu_);
  return leases_.empty();
}

void ApplyLeaseDirective(const v1::Directive& directive, const LeaseTable& leases) {
  const std::shared_ptr<LiveLease> lease = leases.Find(directive.lease().lease_id());
  if (lease == nullptr) return;
  switch (directive.kind()) {
    case v1::Directive::KIND_STOP_ATTEMPT:
      lease->Wish(LeaseWish::kStop);
      break;
    case v1::Directive::KIND_ABANDON_ATTEMPT:
      lease->Wish(LeaseWish::kAbandon);
      break;
    case v1::Directive::KIND_RELEASE_IF_UNSTARTED:
      lease->Wish(LeaseWish::kReleaseIfUnstarted);
      break;
    case v1::Directive::KIND_PREEMPT_ATTEMPT:
      lease->Wish(LeaseWish::kRelease);
      break;
    case v1::Directive::KIND_JOIN_GANG:
      lease->SetGangPeers({directive.gang_contacts().begin(), directive.gang_contacts().end()},
                          directive.gang_view());
      break;
    default:
      break;
  }
}

}  // namespace distill::worker
